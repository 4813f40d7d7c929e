//! What people see: progress on standard error, results on standard output.

use console::{Style, style};

/// How something ended, in one sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Well.
    Good,
    /// Badly.
    Bad,
    /// Nobody knows.
    Unknown,
}

impl Mark {
    fn sign(self) -> (&'static str, Style) {
        match self {
            Self::Good => ("✔", Style::new().green()),
            Self::Bad => ("✖", Style::new().red()),
            Self::Unknown => ("?", Style::new().yellow()),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is well.
    pub mark: Mark,
    /// What was looked at, what was found there, and the next step where it is not well.
    pub line: String,
}

/// A change, as it happens.
pub fn progress(line: &str) {
    eprintln!("{line}");
}

/// Something beside the matter.
pub fn note(line: &str) {
    eprintln!("{}", style(line).for_stderr().dim());
}

/// Where results go: to standard output, unless that is for objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// To standard output.
    Out,
    /// To standard error.
    Err,
}

impl Results {
    /// What became of something.
    pub fn result(self, mark: Mark, line: &str) {
        let (sign, style) = mark.sign();
        match self {
            Self::Out => println!("{} {line}", style.apply_to(sign)),
            Self::Err => eprintln!("{} {line}", style.for_stderr().apply_to(sign)),
        }
    }

    /// More on the result above.
    pub fn detail(self, line: &str) {
        match self {
            Self::Out => println!("  {line}"),
            Self::Err => eprintln!("  {line}"),
        }
    }
}
