//! Our types as JSON text and back, with errors that name the place.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a text or a value is not what was asked for: where, and what is wrong there, as part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// Something of ours as JSON, on one line.
///
/// # Panics
/// Never for our own types: their keys are text, and writing them cannot fail.
pub fn to_text<T: Serialize + ?Sized>(of: &T) -> String {
    serde_json::to_string(of).expect("its keys are text, and nothing in it refuses to be written")
}

/// The same as a value.
///
/// # Panics
/// As [`to_text`].
pub fn to_value<T: Serialize + ?Sized>(of: &T) -> Value {
    serde_json::to_value(of).expect("its keys are text, and nothing in it refuses to be written")
}

/// Reads a text.
///
/// # Errors
/// It is no JSON, or does not fit.
pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| JsonError(error.to_string()))?;
    reader.end().map_err(|error| JsonError(error.to_string()))?;
    Ok(read)
}

/// Reads a value.
///
/// # Errors
/// It does not fit.
pub fn read<T: DeserializeOwned>(value: Value) -> Result<T, JsonError> {
    serde_path_to_error::deserialize(value).map_err(|error| JsonError(error.to_string()))
}
