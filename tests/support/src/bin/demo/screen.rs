//! What is printed.

use std::io::{self, Write};

use console::Style;

/// Standard output. Colours come only to a terminal, and not where NO_COLOR is set.
pub struct Screen;

impl Screen {
    /// The heading of a step.
    pub fn step(&self, title: &str) -> io::Result<()> {
        self.line(&format!("\n{}", Style::new().bold().apply_to(title)))
    }

    /// A command as a person would type it.
    pub fn command(&self, command: &str) -> io::Result<()> {
        self.line(&format!("{} {}", Style::new().dim().apply_to("$"), Style::new().cyan().apply_to(command)))
    }

    /// A line, or several.
    pub fn line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{}", text.trim_end_matches('\n'))
    }
}
