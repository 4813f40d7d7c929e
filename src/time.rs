//! Times as clouds write them.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// Reads RFC 3339 (`2024-06-12T16:04:14.267Z`, `2018-11-13T20:20:39+00:00`) and what Go's `time.Time.String()` prints
/// (`2020-02-02 08:12:40.672772389 +0000 UTC`, 0 to 9 fractional digits, perhaps a monotonic `m=+…` behind).
///
/// `None` for anything else, for a time without a zone, and for a year outside 2000 to 2199: clouds send the zero time
/// of their language (year 1 or 1970) where they have none.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    within_reason(text.parse::<Timestamp>().ok().or_else(|| parse_go_time(text))?)
}

/// Reads what [`parse_time`] does, the same without a zone, which is taken for UTC, and seconds or milliseconds since
/// 1970, with or without a fraction.
pub fn parse_any_time(text: &str) -> Option<Timestamp> {
    // 2e10 s is the year 2603 and 2e10 ms is 1970.
    const MOST_SECONDS: f64 = 2e10;
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let seconds = if number.abs() < MOST_SECONDS { number } else { number / 1000.0 };
        let span = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
        // A float holds no more than microseconds.
        let time = Timestamp::from_duration(span).ok()?.round(jiff::Unit::Microsecond).ok()?;
        return within_reason(time);
    }
    let local = || text.parse::<DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    parse_time(text).or_else(|| within_reason(local()?))
}

/// Clouds send the zero time of their language where they have none.
fn within_reason(time: Timestamp) -> Option<Timestamp> {
    let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
    (2000..2200).contains(&year).then_some(time)
}

fn parse_go_time(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let (date, clock, offset) = (words.next()?, words.next()?, words.next()?);
    let local: DateTime = format!("{date}T{clock}").parse().ok()?;
    let (sign, digits) = offset.split_at_checked(1)?;
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = digits[..2].parse::<i32>().ok()? * 3600 + digits[2..].parse::<i32>().ok()? * 60;
    let seconds = match sign {
        "+" => seconds,
        "-" => -seconds,
        _ => return None,
    };
    let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
    offset.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("2024-06-12T16:04:14.267Z", Some("2024-06-12T16:04:14.267Z"))]
    #[case("2024-06-12T16:04:14.1234567Z", Some("2024-06-12T16:04:14.1234567Z"))]
    #[case("2024-06-12T16:04:14", Some("2024-06-12T16:04:14Z"))]
    #[case("2024-06-12 16:04:14.5", Some("2024-06-12T16:04:14.5Z"))]
    #[case("2018-11-13T20:20:39+0800", Some("2018-11-13T12:20:39Z"))]
    #[case("2023-06-29 01:02:28 +0000 UTC", Some("2023-06-29T01:02:28Z"))]
    #[case("1718208254", Some("2024-06-12T16:04:14Z"))]
    #[case("1718208254.267", Some("2024-06-12T16:04:14.267Z"))]
    #[case("1718208254267", Some("2024-06-12T16:04:14.267Z"))]
    #[case("0", None)]
    #[case("-1", None)]
    #[case("1e300", None)]
    #[case("NaN", None)]
    #[case("2024-06-12", Some("2024-06-12T00:00:00Z"))]
    #[case("0001-01-01T00:00:00", None)]
    #[case("yesterday", None)]
    #[case("", None)]
    fn a_time_of_any_api_is_read_or_absent(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(parse_any_time(text), expected.map(|e| e.parse().unwrap()));
    }

    #[rstest::rstest]
    #[case("2024-06-12T16:04:14.267Z", Some("2024-06-12T16:04:14.267Z"))]
    #[case("2018-11-13T20:20:39+00:00", Some("2018-11-13T20:20:39Z"))]
    #[case("2018-11-13T20:20:39+02:00", Some("2018-11-13T18:20:39Z"))]
    #[case("2020-02-02 08:12:40.672772389 +0000 UTC", Some("2020-02-02T08:12:40.672772389Z"))]
    #[case("2023-06-29 01:02:28.78095 +0000 UTC", Some("2023-06-29T01:02:28.78095Z"))]
    #[case("2023-06-29 01:02:28 +0000 UTC", Some("2023-06-29T01:02:28Z"))]
    #[case("2023-06-29 01:02:28.5 +0800 CST m=+0.01", Some("2023-06-28T17:02:28.5Z"))]
    #[case("2023-06-29 01:02:28.5 -0330 NST", Some("2023-06-29T04:32:28.5Z"))]
    #[case("0001-01-01T00:00:00Z", None)]
    #[case("0001-01-01 00:00:00 +0000 UTC", None)]
    #[case("1970-01-01T00:00:00Z", None)]
    #[case("9999-12-31T23:59:59Z", None)]
    #[case("2023-06-29T01:02:28", None)]
    #[case("2023-06-29 01:02:28", None)]
    #[case("2023-06-29 01:02:28 +é00 UTC", None)]
    #[case("yesterday", None)]
    #[case("", None)]
    fn a_time_is_read_or_absent(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(parse_time(text), expected.map(|e| e.parse().unwrap()));
    }
}
