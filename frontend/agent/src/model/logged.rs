//! Blocks as the log writes them: in the form of the first API that was spoken, so that old logs and new ones
//! read alike.

use serde::{Deserialize, Deserializer, Serializer};
use serde_json::Value;

use super::messages::{block, value};
use crate::conversation::Block;

/// Writes blocks.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(blocks: &[Block], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(blocks.iter().map(value))
}

/// Reads blocks; what is no object is none.
///
/// # Errors
/// What is no list.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Block>, D::Error> {
    Ok(Vec::<Value>::deserialize(deserializer)?.iter().filter(|item| item.is_object()).map(block).collect())
}
