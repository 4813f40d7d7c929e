//! What people see: progress on standard error, results on standard output.

use std::time::Duration;

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

/// A time in its two largest units, as `1h 5m`; seconds only below ten minutes.
pub fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, 1..=9) => format!("{minutes}m {:02}s", seconds % 60),
        (0, 0, _) => format!("{minutes}m"),
        (0, ..) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, "0s")]
    #[case(61, "1m 01s")]
    #[case(601, "10m")]
    #[case(3660, "1h 01m")]
    #[case(90_061, "1d 1h")]
    fn a_time_has_two_units(#[case] seconds: u64, #[case] said: &str) {
        assert_eq!(short(Duration::from_secs(seconds)), said);
    }
}
