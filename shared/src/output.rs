//! Output on the wire: raw bytes at offsets for people, cleaned text for the model.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes inside JSON: base64 (RFC 4648, with padding).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A piece of a task's output, raw: standard output and error in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSlice {
    /// The offset of the first byte of `data`. Greater than what was asked for if that part is no longer kept.
    pub from: u64,
    /// The bytes.
    pub data: Bytes,
    /// The length of the whole output so far.
    pub total: u64,
    /// The part that is no longer kept: offsets from `omitted_from` up to, not including, `omitted_to`; equal if none.
    #[serde(default)]
    pub omitted_from: u64,
    /// See `omitted_from`.
    #[serde(default)]
    pub omitted_to: u64,
}

/// Cleaned text for the model: escape sequences removed, frames overwritten by `\r` collapsed, invalid bytes as U+FFFD.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The beginning; all of it if `omitted_chars` is 0.
    pub head: String,
    /// The end; empty if `omitted_chars` is 0.
    #[serde(default)]
    pub tail: String,
    /// How many characters (or, where the store had dropped them, bytes) lie between head and tail.
    #[serde(default)]
    pub omitted_chars: u64,
}
