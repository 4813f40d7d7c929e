//! What the simulated clouds were asked, from the line that the simulator prints for each request.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

const DAY: f64 = 86_400.0;

/// One request, as the simulator saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Seconds since the midnight (UTC) that the log began after.
    pub at: f64,
    pub connection: u64,
    pub status: u16,
    /// Without the query.
    pub path: String,
}

/// A log that grows while it is read.
pub struct Log {
    file: File,
    rest: String,
    days: f64,
    last: f64,
}

impl Log {
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, rest: String::new(), days: 0.0, last: 0.0 })
    }

    /// The requests since the last call.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(&mut self) -> io::Result<Vec<Request>> {
        let text = read_lines(&mut self.file, &mut self.rest)?;
        Ok(text.lines().filter_map(|line| self.parse(line)).collect())
    }

    /// `15:13:56.600 #1 200 GET /path?query cloud`; other lines are not requests.
    fn parse(&mut self, line: &str) -> Option<Request> {
        let mut words = line.split(' ');
        let time = seconds_of_day(words.next()?)?;
        let connection = words.next()?.strip_prefix('#')?.parse().ok()?;
        let status = words.next()?.parse().ok()?;
        let path = words.nth(1)?.split('?').next()?.to_owned();
        if time < self.last - DAY / 2.0 {
            self.days += 1.0;
        }
        self.last = time;
        Some(Request { at: self.days * DAY + time, connection, status, path })
    }
}

/// What has been added to a file, up to its last whole line; what follows that waits in `rest`.
pub fn read_lines(file: &mut File, rest: &mut String) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    rest.push_str(&String::from_utf8_lossy(&bytes));
    let end = rest.rfind('\n').map_or(0, |at| at + 1);
    let tail = rest.split_off(end);
    Ok(std::mem::replace(rest, tail))
}

fn seconds_of_day(time: &str) -> Option<f64> {
    let mut parts = time.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

#[cfg(test)]
mod tests {
    use std::{env, fs, io::Write, process};

    use super::*;

    #[test]
    fn a_log_is_read_as_it_grows_and_past_midnight() {
        let path = env::temp_dir().join(format!("cloudop-bench-{}", process::id()));
        let mut writer = File::create(&path).unwrap();
        let mut log = Log::open(&path).unwrap();
        writer
            .write_all(b"listening on https://localhost:1\n23:59:59.500 #3 200 GET /a?b=c otcCceJob\n00:00:0")
            .unwrap();
        let request = |at, connection, path: &str| Request { at, connection, status: 200, path: path.to_owned() };
        assert_eq!(log.read().unwrap(), [request(86_399.5, 3, "/a")]);
        writer.write_all(b"0.250 #4 200 GET /d -\n").unwrap();
        assert_eq!(log.read().unwrap(), [request(86_400.25, 4, "/d")]);
        fs::remove_file(path).unwrap();
    }
}
