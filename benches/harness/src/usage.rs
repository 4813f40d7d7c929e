//! What a program and all that it has started have used, from /proc
//! (<https://man7.org/linux/man-pages/man5/proc.5.html>).

use std::{error::Error, fs, io};

/// Linux counts in hundredths of a second, whatever its own clock ticks.
const TICKS_PER_SECOND: f64 = 100.0;

/// Of one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system, in seconds since the start.
    pub cpu: f64,
    /// Resident memory in KiB.
    pub resident: u64,
    /// The most that was ever resident, in KiB.
    pub peak: u64,
}

/// Of the process group that `leader` leads: each program here runs in one of its own.
///
/// # Errors
/// When the leader has ended.
pub fn of_group(leader: u32) -> Result<Usage, Box<dyn Error>> {
    let mut sum = Usage::default();
    let mut leads = false;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that has just ended counts no more.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((group, cpu)) = parse_stat(&stat) else { continue };
        if group != leader {
            continue;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        leads |= pid == leader;
        sum.cpu += cpu;
        sum.resident += parse_kib(&status, "VmRSS:");
        sum.peak += parse_kib(&status, "VmHWM:");
    }
    if !leads {
        let text = format!("process {leader} has ended");
        return Err(io::Error::new(io::ErrorKind::NotFound, text).into());
    }
    Ok(sum)
}

/// The process group, and the seconds used by the process and by its children that have ended.
fn parse_stat(stat: &str) -> Option<(u32, f64)> {
    // The name stands in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let group = fields.get(2)?.parse().ok()?;
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some((group, ticks / TICKS_PER_SECOND))
}

fn parse_kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let stat = "42 (a (b) c) S 1 40 40 0 -1 4194560 9 0 0 0 150 50 7 3 20 0 1 0 1 0 0";
        assert_eq!(parse_stat(stat), Some((40, 2.1)));
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "VmPeak:\t  9 kB\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!((parse_kib(status, "VmHWM:"), parse_kib(status, "VmRSS:")), (2048, 1024));
    }
}
