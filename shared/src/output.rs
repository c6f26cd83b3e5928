//! Output on the wire: raw bytes at offsets for people, cleaned text for the model.

use std::borrow::Cow;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes inside JSON: base64 (RFC 4648, with padding).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
    }
}

/// A piece of a task's output, raw: standard output and error in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSlice {
    /// The offset of the first byte of `data`. Greater than what was asked for if that part is no longer
    /// kept.
    pub from: u64,
    /// The bytes.
    pub data: Bytes,
    /// The length of the whole output so far.
    pub total: u64,
    /// The part that is no longer kept: offsets from `omitted_from` up to, not including, `omitted_to`; equal
    /// if none.
    #[serde(default)]
    pub omitted_from: u64,
    /// See `omitted_from`.
    #[serde(default)]
    pub omitted_to: u64,
}

/// Cleaned text for the model: escape sequences removed, frames overwritten by `\r` collapsed, invalid bytes
/// as U+FFFD.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The beginning; all of it if `omitted_chars` is 0.
    pub head: String,
    /// The end; empty if `omitted_chars` is 0.
    #[serde(default)]
    pub tail: String,
    /// How many characters, as they were printed, lie between head and tail. Of what a log of an earlier life
    /// of the runner had dropped, bytes: how many characters those were is not known any more.
    #[serde(default)]
    pub omitted_chars: u64,
}
