//! Runs a program in a terminal and writes what that showed as a moving picture: `recording FILE.svg PROGRAM ARGUMENT…`.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    num::NonZero,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use pty_process::{
    Size,
    blocking::{Command, open},
};
use vt100::{Cell, Color, Parser, Screen};

const ROWS: u16 = 30;
const COLUMNS: u16 = 104;
/// Between two looks at the terminal.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the last frame stays before it begins again.
const REST: Duration = Duration::from_secs(6);

/// In pixels; most monospaced fonts are 0.6 as wide as they are high.
const FONT: f32 = 14.0;
const COLUMN: f32 = FONT * 0.6;
const LINE: f32 = FONT * 1.35;
const MARGIN: f32 = 16.0;

const STYLE: &str = "\
    text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre;fill:#d0d7de}\
    .b{font-weight:bold}.d{opacity:.6}.c1{fill:#ff7b72}.c2{fill:#56d364}.c3{fill:#e3b341}.c4{fill:#79c0ff}.c5{fill:#d2a8ff}\
    .c6{fill:#56d4dd}";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("recording: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(program)) = (arguments.next(), arguments.next()) else {
        return Err("usage: recording FILE.svg PROGRAM ARGUMENT…".into());
    };
    let frames = record(Command::new(program).args(arguments))?;
    fs::write(file, draw(&frames))?;
    Ok(())
}

/// What a line of the terminal shows.
type Line = Vec<Run>;

/// Characters of one style, from a column on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    column: u16,
    class: String,
    text: String,
}

/// What the terminal showed, and for how long.
struct Frame {
    lines: Vec<Line>,
    lasts: Duration,
}

fn record(command: Command) -> Result<Vec<Frame>, Box<dyn Error>> {
    let (pty, pts) = open()?;
    pty.resize(Size::new(ROWS, COLUMNS))?;
    let mut child = command.env("TERM", "xterm-256color").env_remove("NO_COLOR").spawn(pts)?;
    let size = |number| NonZero::new(number).ok_or("a terminal has a size");
    let parser = Arc::new(Mutex::new(Parser::new(size(ROWS)?, size(COLUMNS)?, 0)));
    let sink = Arc::clone(&parser);
    let reader = thread::spawn(move || {
        let mut pty = pty;
        let mut buffer = [0; 4096];
        // A pty whose program has ended gives an error.
        while let Ok(length @ 1..) = pty.read(&mut buffer) {
            sink.lock().unwrap_or_else(PoisonError::into_inner).process(buffer.get(..length).unwrap_or_default());
        }
    });
    let mut frames: Vec<Frame> = Vec::new();
    let mut looked = Instant::now();
    loop {
        let is_over = child.try_wait()?.is_some();
        if is_over && !reader.is_finished() {
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        let lines = look(parser.lock().unwrap_or_else(PoisonError::into_inner).screen());
        let took = looked.elapsed();
        looked = Instant::now();
        if let Some(last) = frames.last_mut() {
            last.lasts += took;
        }
        if !lines.is_empty() && frames.last().is_none_or(|last| last.lines != lines) {
            frames.push(Frame { lines, lasts: Duration::ZERO });
        }
        write!(io::stderr(), "\rrecording: {} frames", frames.len())?;
        if is_over {
            writeln!(io::stderr())?;
            return Ok(frames);
        }
        thread::sleep(PERIOD);
    }
}

/// The lines that show something, down to the last of them.
fn look(screen: &Screen) -> Vec<Line> {
    let mut lines: Vec<Line> = (0..ROWS).map(|row| look_at(screen, row)).collect();
    let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    lines.truncate(used);
    lines
}

fn look_at(screen: &Screen, row: u16) -> Line {
    let mut line: Line = Vec::new();
    for column in 0..COLUMNS {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else { continue };
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match line.last_mut().filter(|run| run.class == class(cell)) {
            Some(run) => run.text.push_str(text),
            None => line.push(Run { column, class: class(cell), text: text.to_owned() }),
        }
    }
    if let Some(last) = line.last_mut() {
        last.text.truncate(last.text.trim_end().len());
    }
    line.retain(|run| !run.text.trim().is_empty());
    line
}

fn class(cell: &Cell) -> String {
    let mut class = String::new();
    if cell.bold() {
        class += "b ";
    }
    if cell.dim() {
        class += "d ";
    }
    if let Color::Idx(number) = cell.fgcolor() {
        let _ = write!(class, "c{}", number % 8);
    }
    class.trim_end().to_owned()
}

/// The frames one below the other, of which one is seen at a time; a line that stands in several is drawn once.
fn draw(frames: &[Frame]) -> String {
    let rows = frames.iter().map(|frame| frame.lines.len()).max().unwrap_or_default();
    let (width, height) = (f32::from(COLUMNS) * COLUMN + 2.0 * MARGIN, rows as f32 * LINE + 2.0 * MARGIN);
    let mut known: BTreeMap<&Line, usize> = BTreeMap::new();
    let (mut shapes, mut body, mut steps) = (String::new(), String::new(), String::new());
    let whole: Duration = frames.iter().map(|frame| frame.lasts).sum::<Duration>() + REST;
    let mut begins = Duration::ZERO;
    for (number, frame) in frames.iter().enumerate() {
        let top = number as f32 * height;
        let share = 100.0 * begins.as_secs_f32() / whole.as_secs_f32();
        let _ = write!(steps, "{share:.2}%{{transform:translateY(-{top:.1}px)}}");
        begins += frame.lasts;
        for (row, line) in frame.lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
            let next = known.len();
            let shape = *known.entry(line).or_insert_with(|| {
                let _ = write!(shapes, "<g id=\"l{next}\">{}</g>", draw_line(line));
                next
            });
            let bottom = top + MARGIN + (row + 1) as f32 * LINE;
            let _ = write!(body, "<use href=\"#l{shape}\" y=\"{bottom:.1}\"/>");
        }
    }
    let last = frames.len().saturating_sub(1) as f32 * height;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-size=\"{FONT}\"><title>kubectl cloudop watch</title><style>{STYLE}@keyframes play{{{steps}}}\
         .play{{animation:play {:.1}s step-end infinite}}\
         @media(prefers-reduced-motion:reduce){{.play{{animation:none;transform:translateY(-{last:.1}px)}}}}</style>\
         <defs>{shapes}</defs><rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/><g class=\"play\">{body}</g></svg>\n",
        whole.as_secs_f32()
    )
}

fn draw_line(line: &Line) -> String {
    let mut drawn = String::new();
    for Run { column, class, text } in line {
        let (x, length) = (f32::from(*column) * COLUMN + MARGIN, text.chars().count() as f32 * COLUMN);
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = write!(drawn, "<text x=\"{x:.1}\" textLength=\"{length:.1}\"{class}>{text}</text>");
    }
    drawn
}
