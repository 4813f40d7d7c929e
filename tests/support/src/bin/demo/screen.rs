//! What is printed: lines, and below them on a terminal a table that is redrawn in its place.

use std::{cell::Cell, io};

use console::{Style, Term, truncate_str};

/// Standard output. Colours come only to a terminal, and not where NO_COLOR is set.
pub struct Screen {
    term: Term,
    is_live: bool,
    drawn: Cell<usize>,
}

impl Screen {
    pub fn new() -> Self {
        let term = Term::buffered_stdout();
        let is_live = term.is_term() && std::env::var_os("TERM").is_some_and(|name| name != "dumb");
        console::set_colors_enabled(is_live && console::colors_enabled());
        Self { term, is_live, drawn: Cell::new(0) }
    }

    /// The heading of a step.
    pub fn step(&self, title: &str) -> io::Result<()> {
        self.line(&format!("\n{}", Style::new().bold().apply_to(title)))
    }

    /// A command as a person would type it.
    pub fn command(&self, command: &str) -> io::Result<()> {
        self.line(&format!("{} {}", Style::new().dim().apply_to("$"), Style::new().cyan().apply_to(command)))
    }

    /// A line, or several; above the table where there is one.
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.erase()?;
        self.term.write_line(text.trim_end_matches('\n'))?;
        self.term.flush()
    }

    /// Draws the table in the place of the one before. Does nothing where standard output is not a terminal.
    pub fn table(&self, lines: &[String]) -> io::Result<()> {
        if !self.is_live {
            return Ok(());
        }
        self.erase()?;
        // A line that wraps would be counted as one and erased by half.
        let width = usize::from(self.term.size().1).saturating_sub(1);
        for line in lines {
            self.term.write_line(&truncate_str(line, width, "…"))?;
        }
        self.drawn.set(lines.len());
        self.term.flush()
    }

    fn erase(&self) -> io::Result<()> {
        match self.drawn.take() {
            0 => Ok(()),
            lines => {
                self.term.move_cursor_up(lines)?;
                self.term.clear_to_end_of_screen()
            }
        }
    }
}

/// `text` in the colour of a phase.
pub fn paint(phase: &str, text: &str) -> String {
    let style = match phase {
        "Succeeded" => Style::new().green(),
        "Failed" => Style::new().red(),
        "Blocked" => Style::new().yellow(),
        _ => Style::new(),
    };
    style.apply_to(text).to_string()
}
