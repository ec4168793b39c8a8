//! Deterministic CBOR (RFC 8949 section 4.2.1) over ciborium, which neither orders maps nor refuses loose encodings.
//!
//! Encoding sorts the keys of every map by their encoded bytes. Decoding is bounded first; then whatever is not the very same
//! bytes when it is brought into that form is refused, which rules out long forms, indefinite lengths, unsorted and
//! duplicate keys and anything after the value. Both work on the bytes, without a tree of values. Floats, tags and `undefined` have no place in our objects.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Any CBOR value: what an unknown field of an extensible object is kept as.
pub use ciborium::Value;

/// How deep arrays and maps may nest. Our deepest object, a letter with a grant and a card, needs seven.
pub const DEPTH: usize = 16;

/// Bytes that are not one deterministic encoding of what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// Longer than this kind of object may be.
    #[error("expected at most {limit} bytes of CBOR, got {got}")]
    TooLarge {
        /// The bound.
        limit: usize,
        /// What came.
        got: usize,
    },
    /// No CBOR, or nested too deeply.
    #[error("expected CBOR no deeper than {DEPTH}, got bytes that end or go wrong: {0}")]
    Malformed(String),
    /// CBOR, but not the one deterministic encoding of its value.
    #[error("expected deterministic CBOR (RFC 8949 section 4.2.1), got another encoding of the value")]
    NotDeterministic,
    /// A float, a tag or `undefined`.
    #[error("expected integers, strings, arrays, maps, booleans or null, got {0}")]
    Unsupported(&'static str),
    /// A value of another shape.
    #[error("expected another shape: {0}")]
    Unfit(String),
}

/// Encodes deterministically.
///
/// # Panics
///
/// If the type's own `Serialize` fails or yields floats, which no type of this workspace does.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "serialising our own types into memory cannot fail; a failure is a bug in the type"
)]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    try_encode(value).expect("our own types are representable, and hold no floats, tags or duplicate keys")
}

/// Encodes deterministically what may hold values of somebody's own.
///
/// # Errors
///
/// If the value holds floats or tags, or two entries of a map have one key.
pub fn try_encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CborError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| CborError::Unfit(error.to_string()))?;
    canonical(&bytes)
}

/// Decodes one value of at most `limit` bytes.
///
/// # Errors
///
/// Says what about the bytes is not as it has to be.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLarge {
            limit,
            got: bytes.len(),
        });
    }
    if canonical(bytes)? != bytes {
        return Err(CborError::NotDeterministic);
    }
    // By a tree of values, because ciborium is strict only there: from bytes it takes a byte string where a text or an array is
    // expected, and the other way round, so that one object would have several encodings.
    let value: Value = ciborium::de::from_reader_with_recursion_limit(bytes, 2 * DEPTH)
        .map_err(|error| CborError::Malformed(error.to_string()))?;
    value
        .deserialized()
        .map_err(|error| CborError::Unfit(error.to_string()))
}

/// Encodes what is for ourselves alone and never leaves the machine: no particular encoding is needed, and none is made sure of.
///
/// # Panics
///
/// As [`encode`].
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "serialising our own types into memory cannot fail; a failure is a bug in the type"
)]
pub fn encode_own<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("our own types are representable");
    bytes
}

/// Decodes what [`encode_own`] made. It may nest whatever came from outside a few levels deeper.
///
/// # Errors
///
/// If it is larger than `limit`, or none.
pub fn decode_own<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLarge {
            limit,
            got: bytes.len(),
        });
    }
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, 2 * DEPTH)
        .map_err(|error| CborError::Malformed(error.to_string()))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(CborError::Malformed("something after the value".to_owned()))
    }
}

/// The deterministic encoding of what is encoded here in whatever way: heads in their shortest form, lengths up front, maps in order.
fn canonical(bytes: &[u8]) -> Result<Vec<u8>, CborError> {
    let mut rest = Rest(bytes);
    let mut encoded = Vec::with_capacity(bytes.len());
    rest.item(&mut encoded, 0)?;
    if rest.0.is_empty() {
        Ok(encoded)
    } else {
        Err(CborError::Malformed("something after the value".to_owned()))
    }
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const FALSE: u64 = 20;
const TRUE: u64 = 21;
const NULL: u64 = 22;

/// What of the bytes is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CborError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(ends_early)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A head: the major type and its argument; none: a length that stands nowhere, or the end of what has none.
    fn head(&mut self) -> Result<(u8, Option<u64>), CborError> {
        let first = *self.take(1)?.first().ok_or_else(ends_early)?;
        let (major, short) = (first >> 5, first & 0x1f);
        let argument = match short {
            0..=23 => Some(u64::from(short)),
            24..=27 => {
                let bytes = self.take(1 << (short - 24))?;
                if major == 7 && short > 24 {
                    return Err(CborError::Unsupported("a float"));
                }
                Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
            }
            31 => None,
            _ => return Err(CborError::Malformed("a head of a form that is not in use".to_owned())),
        };
        Ok((major, argument))
    }

    /// Reads one item, and appends its deterministic encoding.
    fn item(&mut self, to: &mut Vec<u8>, depth: usize) -> Result<(), CborError> {
        if depth > DEPTH {
            return Err(CborError::Malformed("it nests too deeply".to_owned()));
        }
        let (major, argument) = self.head()?;
        match (major, argument) {
            (UNSIGNED | NEGATIVE, Some(value)) => push_head(to, major, value),
            (BYTES | TEXT, Some(length)) => {
                let content = self.take(usize::try_from(length).map_err(|_| ends_early())?)?;
                if major == TEXT && std::str::from_utf8(content).is_err() {
                    return Err(CborError::Malformed("a text that is not UTF-8".to_owned()));
                }
                push_head(to, major, length);
                to.extend_from_slice(content);
            }
            (ARRAY, _) => {
                let (mut items, mut count) = (Vec::new(), 0);
                while self.goes_on(argument, count)? {
                    self.item(&mut items, depth + 1)?;
                    count += 1;
                }
                push_head(to, ARRAY, count);
                to.extend(items);
            }
            (MAP, _) => self.map(argument, to, depth)?,
            (TAG, Some(_)) => return Err(CborError::Unsupported("a tag")),
            (7, Some(FALSE | TRUE | NULL)) => push_head(to, major, argument.unwrap_or(NULL)),
            (7, Some(_)) => return Err(CborError::Unsupported("a value of a kind unknown here")),
            // Strings in pieces: nothing that we encode has any.
            _ => return Err(CborError::NotDeterministic),
        }
        Ok(())
    }

    fn map(&mut self, length: Option<u64>, to: &mut Vec<u8>, depth: usize) -> Result<(), CborError> {
        let mut content = Vec::new();
        // Where each entry begins, where its value does, and where it ends.
        let mut entries: Vec<(usize, usize, usize)> = Vec::new();
        let mut count = 0;
        while self.goes_on(length, count)? {
            let begin = content.len();
            self.item(&mut content, depth + 1)?;
            let value = content.len();
            self.item(&mut content, depth + 1)?;
            entries.push((begin, value, content.len()));
            count += 1;
        }
        let key = |entry: &(usize, usize, usize)| content.get(entry.0..entry.1).unwrap_or_default();
        entries.sort_by(|one, other| key(one).cmp(key(other)));
        let neighbours = entries.iter().zip(entries.iter().skip(1));
        if neighbours.into_iter().any(|(one, next)| key(one) == key(next)) {
            return Err(CborError::NotDeterministic);
        }
        push_head(to, MAP, count);
        for (begin, _, end) in &entries {
            to.extend_from_slice(content.get(*begin..*end).unwrap_or_default());
        }
        Ok(())
    }

    /// Whether there is another item in an array or map of this length, of which so many were read.
    fn goes_on(&mut self, length: Option<u64>, read: u64) -> Result<bool, CborError> {
        const BREAK: u8 = 0xff;
        match length {
            Some(length) => Ok(read < length),
            None if self.0.first() == Some(&BREAK) => self.take(1).map(|_| false),
            None => Ok(true),
        }
    }
}

fn ends_early() -> CborError {
    CborError::Malformed("it ends early".to_owned())
}

/// A head in its shortest form.
#[expect(clippy::cast_possible_truncation, reason = "each arm says that the value fits")]
fn push_head(to: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..=23 => to.push(major | argument as u8),
        24..=0xff => to.extend([major | 24, argument as u8]),
        0x100..=0xffff => {
            to.push(major | 25);
            to.extend((argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            to.push(major | 26);
            to.extend((argument as u32).to_be_bytes());
        }
        _ => {
            to.push(major | 27);
            to.extend(argument.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn maps_are_ordered_by_their_encoded_keys() {
        let map = BTreeMap::from([("aa", 1_u8), ("b", 2)]);
        // Length comes before content in the encoded key, so "b" is first.
        assert_eq!(encode(&map), [0xa2, 0x61, b'b', 2, 0x62, b'a', b'a', 1]);
        assert_eq!(decode::<BTreeMap<String, u8>>(&encode(&map), 64).unwrap().len(), 2);
    }

    #[test]
    fn loose_encodings_are_refused() {
        let cases: [(&str, &[u8]); 6] = [
            ("a long form of 1", &[0x18, 0x01]),
            ("unsorted keys", &[0xa2, 0x62, b'a', b'a', 1, 0x61, b'b', 2]),
            ("duplicate keys", &[0xa2, 0x61, b'b', 1, 0x61, b'b', 2]),
            ("an indefinite array", &[0x9f, 0x01, 0xff]),
            ("something after the value", &[0x01, 0x01]),
            ("a float", &[0xf9, 0x3c, 0x00]),
        ];
        for (what, bytes) in cases {
            assert!(decode::<Value>(bytes, 64).is_err(), "{what}");
        }
    }

    #[test]
    fn strings_of_bytes_texts_and_arrays_are_not_taken_for_each_other() {
        #[derive(Debug, serde::Deserialize)]
        struct Named {
            #[serde(rename = "a", with = "serde_bytes")]
            _content: Vec<u8>,
        }
        assert!(decode::<Named>(&[0xa1, 0x61, b'a', 0x41, 1], 64).is_ok());
        let cases: [(&str, &[u8]); 3] = [
            ("a name that is bytes", &[0xa1, 0x41, b'a', 0x41, 1]),
            ("an array in place of bytes", &[0xa1, 0x61, b'a', 0x81, 1]),
            ("a text in place of bytes", &[0xa1, 0x61, b'a', 0x61, 1]),
        ];
        for (what, bytes) in cases {
            assert!(decode::<Named>(bytes, 64).is_err(), "{what}");
        }
        assert!(decode::<Vec<u8>>(&[0x81, 1], 64).is_ok());
        assert!(decode::<Vec<u8>>(&[0x41, 1], 64).is_err(), "bytes in place of an array");
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        // A byte string, a text and an array that claim 2^60 entries.
        for head in [0x5b_u8, 0x7b, 0x9b, 0xbb] {
            let bytes = [head, 0x10, 0, 0, 0, 0, 0, 0, 0];
            assert!(decode::<Value>(&bytes, 64).is_err());
        }
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        let deep = [vec![0x81; 200], vec![0x01]].concat();
        assert!(matches!(decode::<Value>(&deep, 1024), Err(CborError::Malformed(_))));
        assert_eq!(
            decode::<Value>(&[0; 10], 9),
            Err(CborError::TooLarge { limit: 9, got: 10 })
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(value) = decode::<Value>(&bytes, 300) {
                prop_assert_eq!(encode(&value), bytes);
            }
        }
    }
}
