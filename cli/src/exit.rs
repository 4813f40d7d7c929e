//! What a pipeline reads: the exit code.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for is so.
    Succeeded,
    /// The operation failed or was cancelled, or a check did not pass.
    Failed,
    /// The command line is wrong.
    Usage,
    /// The time is over: the command's, or the operation's own deadline.
    Timeout,
    /// What became of the operation is not known: it is not found, expired or deleted.
    Unknown,
    /// A person has to act: it is blocked, makes no progress, or its credentials or profile are wrong.
    NeedsPerson,
    /// The cluster cannot be reached, or refuses.
    Cluster,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Timeout => 3,
            Self::Unknown => 4,
            Self::NeedsPerson => 5,
            Self::Cluster => 6,
            Self::Interrupted => 130,
        }
    }

    /// Of several objects: the first that applies of cluster trouble, a failure, an unknown outcome, a person who is
    /// needed, a timeout, and success.
    pub fn of_several(exits: impl IntoIterator<Item = Self>) -> Self {
        const ORDER: [Exit; 6] =
            [Exit::Cluster, Exit::Failed, Exit::Unknown, Exit::NeedsPerson, Exit::Timeout, Exit::Succeeded];
        let exits: Vec<Self> = exits.into_iter().collect();
        ORDER.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Self::Succeeded)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command could not do what it was asked to.
#[derive(Debug)]
pub struct Error {
    /// The exit code that says so.
    pub exit: Exit,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl Error {
    /// A command line that cannot be meant.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// The cluster's trouble.
    pub fn cluster(message: impl Into<String>) -> Self {
        Self { exit: Exit::Cluster, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit::*;
    use super::*;

    #[rstest::rstest]
    #[case(&[], Succeeded)]
    #[case(&[Succeeded, Succeeded], Succeeded)]
    #[case(&[Succeeded, Timeout], Timeout)]
    #[case(&[Timeout, NeedsPerson], NeedsPerson)]
    #[case(&[NeedsPerson, Unknown], Unknown)]
    #[case(&[Unknown, Failed, Timeout], Failed)]
    #[case(&[Failed, Cluster], Cluster)]
    fn the_first_that_applies_is_that_of_several(#[case] exits: &[Exit], #[case] exit: Exit) {
        assert_eq!(Exit::of_several(exits.iter().copied()), exit);
    }
}
