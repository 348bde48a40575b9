//! Texts and structures as they are kept in the blob hash: bincode behind a format byte, decode-limited.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::serde::{decode_from_slice, encode_into_std_write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use retry_core::headers::Headers;
use retry_core::payload::Payload;

/// What is wrong with stored data, without the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

pub(crate) type Read<T> = Result<T, Damage>;

/// The first byte of every encoded structure.
const FORMAT: u8 = 1;

/// Bytes that a decoder may claim: the largest body (1 MiB of payload, 16 KiB of headers, each of one byte) in memory.
const DECODE_LIMIT: usize = 4 * 1024 * 1024;

type Format = Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>>;

const fn format() -> Format {
    standard()
        .with_little_endian()
        .with_variable_int_encoding()
        .with_limit::<DECODE_LIMIT>()
}

/// Encodes behind the format byte.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    append(value, &mut bytes);
    bytes
}

/// Encodes without a format byte, where another one covers it.
pub(crate) fn append<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    // Memory takes everything, and every structure here serializes.
    let _ = encode_into_std_write(value, bytes, format());
}

/// Decodes what [`encode`] made.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Read<T> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => decode_bare(rest, what),
        _ => Err(Damage(what)),
    }
}

/// Decodes what [`append`] made; nothing may follow it.
pub(crate) fn decode_bare<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Read<T> {
    match decode_from_slice(bytes, format()) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        _ => Err(Damage(what)),
    }
}

/// The body of a task: what its handler gets.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Body {
    headers: Headers,
    payload: String,
}

#[derive(Serialize)]
struct BodyRef<'a> {
    headers: &'a Headers,
    payload: &'a str,
}

impl Body {
    pub(crate) fn encode(payload: &Payload, headers: &Headers) -> Vec<u8> {
        encode(&BodyRef {
            headers,
            payload: payload.as_json(),
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Read<(Payload, Headers)> {
        let Self { headers, payload } = decode(bytes, "the body is damaged")?;
        Ok((Payload::from_stored(payload), headers))
    }
}

/// A text kept as its own bytes.
pub(crate) fn text(bytes: &[u8]) -> Read<&str> {
    std::str::from_utf8(bytes).map_err(|_| Damage("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_round_trip_byte_for_byte() {
        let mut headers = Headers::new();
        headers.insert("trace", "é 🎉").unwrap();
        let payload = Payload::from_json(" {\"a\" :1.0} ").unwrap();
        let bytes = Body::encode(&payload, &headers);
        assert_eq!(Body::decode(&bytes), Ok((payload, headers)));
    }

    #[test]
    fn the_largest_body_fits_the_limit() {
        let mut headers = Headers::new();
        for n in 0..0x2000u32 {
            let key = char::from_u32(0x4e00 + n).unwrap();
            if headers.insert(key.to_string(), "").is_err() {
                break;
            }
        }
        let payload = Payload::from_json(format!("\"{}\"", "x".repeat((1 << 20) - 2))).unwrap();
        let bytes = Body::encode(&payload, &headers);
        assert_eq!(Body::decode(&bytes), Ok((payload, headers)));
    }

    #[test]
    fn damage_is_an_error_and_claims_no_memory() {
        let mut huge = vec![FORMAT];
        huge.extend(u64::MAX.to_le_bytes());
        for bytes in [&b""[..], b"\x02abc", b"\x01", &huge] {
            assert!(Body::decode(bytes).is_err(), "{bytes:?}");
        }
        let mut more = Body::encode(&Payload::null(), &Headers::new());
        more.push(0);
        assert!(Body::decode(&more).is_err());
    }
}
