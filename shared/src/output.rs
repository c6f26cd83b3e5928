//! Output on the wire: raw bytes at offsets for people, cleaned text for the model.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::{Deserialize, FromJson, Serialize, ToJson, Trouble, Value};

/// Bytes inside JSON: base64 (RFC 4648, with padding).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl ToJson for Bytes {
    fn write(&self, into: &mut Value) {
        *into = Value::String(STANDARD.encode(&self.0));
    }
}

impl FromJson for Bytes {
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        let Some(value) = value else { return Self::default() };
        if let Some(Ok(bytes)) = value.as_str().map(|text| STANDARD.decode(text)) {
            Self(bytes)
        } else {
            trouble.unfit(value, "bytes in base64");
            Self::default()
        }
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
    /// How many characters, as they were printed, lie between head and tail. Of what a log of an earlier life of the runner
    /// had dropped, bytes: how many characters those were is not known any more.
    #[serde(default)]
    pub omitted_chars: u64,
}
