//! The words of a scenario: spans of time, shares, and whom something happens to. Each is a string in the file.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;

/// A span of time in milliseconds, written as in "90s".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = text.split_at(split);
        let unit = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(unit).map(Self);
        }
        let (whole, part) = number.split_once('.')?;
        if part.is_empty() || part.len() > 6 {
            return None;
        }
        let digits = u32::try_from(part.len()).ok()?;
        let part = part.parse::<u64>().ok()?.checked_mul(unit)? / 10_u64.pow(digits);
        whole
            .parse::<u64>()
            .ok()?
            .checked_mul(unit)?
            .checked_add(part)
            .map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
        let fits = units
            .iter()
            .find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match fits {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None if self.0 == 0 => f.write_str("0s"),
            None => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "\"{text}\" is no span of time: expected a number with ms, s, min, h or d, as in \"90s\""
            ))
        })
    }
}

/// A part of a whole, written as in "20%".
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// This part, from 0 to 1.
    #[must_use]
    pub const fn of(part: f64) -> Self {
        Self(part)
    }

    /// From 0 to 1.
    #[must_use]
    pub const fn part(self) -> f64 {
        self.0
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 <= 0.0
    }

    fn parse(text: &str) -> Option<Self> {
        let number: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
        (0.0..=100.0).contains(&number).then_some(Self(number / 100.0))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Six places are as many as anybody writes.
        write!(f, "{}%", (self.0 * 100.0 * 1e6).round() / 1e6)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("\"{text}\" is no share: expected 0% to 100%, as in \"2.5%\"")))
    }
}

/// Whom something happens to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Whom {
    /// All people.
    Everybody,
    /// So many people, drawn anew each time.
    People(u32),
    /// A share of the people, drawn anew each time.
    Part(Share),
    /// One certain person, counted from 1.
    Person(u32),
    /// All people in a region, counted from 1.
    Region(u32),
    /// So many relays, drawn anew each time; none: all.
    Relays(Option<u32>),
    /// One certain relay, counted from 1.
    Relay(u32),
}

impl Whom {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["everybody"] => Some(Self::Everybody),
            ["relays" | "all", ..] if words.last() == Some(&"relays") => Some(Self::Relays(None)),
            ["person", number] => number.parse().ok().map(Self::Person),
            ["region", number] => number.parse().ok().map(Self::Region),
            ["relay", number] => number.parse().ok().map(Self::Relay),
            [number, "people"] => number.parse().ok().map(Self::People),
            [number, "relays"] => number.parse().ok().map(|number| Self::Relays(Some(number))),
            [share] | [share, "of", "everybody"] => Share::parse(share).map(Self::Part),
            _ => None,
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("everybody"),
            Self::People(number) => write!(f, "{number} people"),
            Self::Part(share) => write!(f, "{share}"),
            Self::Person(number) => write!(f, "person {number}"),
            Self::Region(number) => write!(f, "region {number}"),
            Self::Relays(None) => f.write_str("all relays"),
            Self::Relays(Some(number)) => write!(f, "{number} relays"),
            Self::Relay(number) => write!(f, "relay {number}"),
        }
    }
}

impl Serialize for Whom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Whom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "\"{text}\" is nobody known: expected \"everybody\", \"20%\", \"10 people\", \"person 3\", \"region 2\", \
                 \"all relays\", \"2 relays\" or \"relay 1\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were_written() {
        for text in ["90s", "250ms", "10min", "2h", "3d", "0s"] {
            assert_eq!(Span::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Span::parse("1.5 min"), Some(Span(90_000)));
        for text in ["", "90", "s", "-1s", "1.s", "99999999999999999d"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        for text in ["0%", "2.5%", "100%"] {
            assert_eq!(Share::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "everybody",
            "10 people",
            "20%",
            "person 3",
            "region 2",
            "all relays",
            "2 relays",
            "relay 1",
        ] {
            assert_eq!(Whom::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "nobody", "relay", "x people"] {
            assert_eq!(Whom::parse(text), None, "{text}");
        }
    }
}
