//! Durations as people write them: `200ms`, `2s`, `1.5s`, `5m`; a bare number is seconds, as in ha.cf.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DurationError {
    /// No number stands before the unit.
    #[error("'{0}' is not a duration: write a number and a unit, such as 200ms, 2s, 5m (a bare number is seconds)")]
    NotANumber(String),
    /// The unit is none of ours.
    #[error("unknown unit '{0}' in a duration: use us, ms, s, m, h or d")]
    Unit(String),
    /// Zero where something has to last.
    #[error("a duration of zero makes no sense here")]
    Zero,
    /// More than a hundred years.
    #[error("'{0}' is longer than a hundred years")]
    TooLong(String),
}

/// Parses a duration; zero is allowed.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let not_a_number = || DurationError::NotANumber(text.to_owned());
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(not_a_number());
    }
    let number: f64 = number.parse().map_err(|_| not_a_number())?;
    let scale = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        other => return Err(DurationError::Unit(other.to_owned())),
    };
    let seconds = number * scale;
    if seconds > 100.0 * 366.0 * 86400.0 {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    // Rounded to a microsecond: 0.1 is then exactly 100 ms.
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Parses a duration that has to be longer than zero.
pub fn parse_positive(text: &str) -> Result<Duration, DurationError> {
    match parse(text)? {
        Duration::ZERO => Err(DurationError::Zero),
        d => Ok(d),
    }
}

/// A duration for a person: `200ms`, `2s`, `1.5s`.
pub fn words(d: Duration) -> String {
    let ms = d.as_secs_f64() * 1e3;
    if d < Duration::from_millis(1) && !d.is_zero() {
        format!("{}us", d.as_micros())
    } else if d < Duration::from_secs(1) {
        format!("{}ms", (ms * 10.0).round() / 10.0)
    } else if d < Duration::from_secs(120) {
        format!("{}s", (ms / 10.0).round() / 100.0)
    } else {
        humantime::format_duration(Duration::from_secs(d.as_secs())).to_string().replace(' ', "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write() {
        for (text, us) in [
            ("200ms", 200_000),
            ("2s", 2_000_000),
            ("5m", 300_000_000),
            ("3", 3_000_000),
            ("0.1", 100_000),
            ("1.5s", 1_500_000),
            ("10us", 10),
            ("1h", 3_600_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_micros(us)), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for text in ["", "s", "-1s", "1x", "1.2.3s", ".", "ms200", "1e9", "inf", "9999999999d", "١s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse_positive("0ms"), Err(DurationError::Zero));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") { let _ = parse(&text); }

        #[test]
        fn whole_milliseconds_come_back(ms in 1u64..100_000_000) {
            prop_assert_eq!(parse(&format!("{ms}ms")), Ok(Duration::from_millis(ms)));
            let _ = words(Duration::from_millis(ms));
        }
    }
}
