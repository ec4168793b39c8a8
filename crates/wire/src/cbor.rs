//! Deterministic CBOR (RFC 8949 section 4.2.1) over ciborium, which neither orders maps nor refuses loose encodings.
//!
//! Encoding sorts the keys of every map by their encoded bytes. Decoding is bounded first; then whatever does not
//! encode again to the very same bytes is refused, which rules out long forms, indefinite lengths, unsorted and
//! duplicate keys and anything after the value. Floats, tags and `undefined` have no place in our objects.

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
    let value = Value::serialized(value).map_err(|error| CborError::Unfit(error.to_string()))?;
    Ok(write(&canonical(value)?))
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
    let value: Value = ciborium::de::from_reader_with_recursion_limit(bytes, DEPTH)
        .map_err(|error| CborError::Malformed(error.to_string()))?;
    let value = canonical(value)?;
    if write(&value) != bytes {
        return Err(CborError::NotDeterministic);
    }
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

fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing into memory fails only for values that cannot be represented, and `canonical` let none of those pass.
    let written = ciborium::into_writer(value, &mut bytes);
    debug_assert!(written.is_ok(), "a canonical value can be written");
    bytes
}

fn canonical(value: Value) -> Result<Value, CborError> {
    match value {
        Value::Integer(_) | Value::Bytes(_) | Value::Text(_) | Value::Bool(_) | Value::Null => Ok(value),
        Value::Array(items) => Ok(Value::Array(
            items.into_iter().map(canonical).collect::<Result<_, _>>()?,
        )),
        Value::Map(entries) => {
            let mut keyed = entries
                .into_iter()
                .map(|(key, value)| {
                    let key = canonical(key)?;
                    Ok((write(&key), key, canonical(value)?))
                })
                .collect::<Result<Vec<_>, CborError>>()?;
            keyed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
            let duplicate = keyed
                .iter()
                .zip(keyed.iter().skip(1))
                .any(|((one, ..), (next, ..))| one == next);
            if duplicate {
                return Err(CborError::NotDeterministic);
            }
            Ok(Value::Map(
                keyed.into_iter().map(|(_, key, value)| (key, value)).collect(),
            ))
        }
        Value::Float(_) => Err(CborError::Unsupported("a float")),
        Value::Tag(..) => Err(CborError::Unsupported("a tag")),
        _ => Err(CborError::Unsupported("a value of a kind unknown here")),
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
