//! Durations as people write and read them: `1h30m`.

use std::fmt::Write as _;
use std::time::Duration;

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u128); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The duration in its two largest units, a rest below them left out: `1h 30m`, `15s`, `0ms`.
pub(crate) fn show(span: Duration) -> String {
    let millis = span.as_millis();
    let Some(first) = UNITS.iter().position(|(_, unit)| millis >= *unit) else {
        return "0ms".to_owned();
    };
    let mut text = String::new();
    let mut rest = millis;
    for (name, unit) in UNITS.iter().skip(first).take(2) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            let blank = if text.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{blank}{count}{name}");
        }
    }
    text
}

/// Reads numbers with units: `250ms`, `15s`, `1h30m`, `1h 30m`.
#[cfg(any(test, feature = "config"))]
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = |what: &str| {
        format!("{text:?} is no duration: {what}; write \"250ms\", \"15s\", \"5m\", \"1h30m\" or \"2d\"")
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong("it is empty"));
    }
    let mut sum: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        if behind.starts_with(['.', ',']) && behind[1..].starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong(
                "numbers are whole, the rest is in a smaller unit, as in \"1s500ms\" or \"1500ms\"",
            ));
        }
        let (unit, behind) = behind.split_at(letters);
        let number: u64 = number
            .parse()
            .map_err(|_| wrong("a number is missing or too large"))?;
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, millis) = known.ok_or_else(|| wrong("a unit (ms, s, m, h, d) is missing"))?;
        sum += u128::from(number) * millis;
        rest = behind.trim_start();
    }
    let millis = u64::try_from(sum).map_err(|_| wrong("it is too long"))?;
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, millis) in [
            ("250ms", 250),
            ("15s", 15_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            (" 2d ", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "15",
            "s",
            "15 s",
            "1.5s",
            "-1s",
            "1y",
            "15s,",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("is no duration"), "{error}");
        }
        let error = parse("1.5s").unwrap_err();
        assert!(error.contains("in a smaller unit, as in \"1s500ms\""), "{error}");
    }

    #[test]
    fn two_units_are_shown_and_read_back() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_500, "1s 500ms"),
            (61_999, "1m 1s"),
            (3_600_000, "1h"),
            (90_061_000, "1d 1h"),
        ] {
            let shown = show(Duration::from_millis(millis));
            assert_eq!(shown, text);
            assert!(parse(&shown).unwrap() <= Duration::from_millis(millis));
        }
        assert!(show(Duration::MAX).contains('d'));
    }
}
