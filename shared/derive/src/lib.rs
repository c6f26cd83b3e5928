//! Derives `Serialize` and `Deserialize` as small as WebAssembly can have them.
//!
//! serde's own derive writes a visitor a type and compiles it once for each format; over a hundred types that is a quarter of the page.
//! These derives read the same `#[serde(…)]` attributes and give the same JSON, but what they write is a list of calls: one a field,
//! into `shared::json`, which works on `serde_json::Value` alone. A bridge to serde's traits comes with it, so that every format of
//! serde's still reads and writes these types, through a `Value`.
//!
//! First `model` reads the type and its attributes into plain data, and refuses what it does not know; then `write` and `read` make code of it.

mod model;
mod read;
mod write;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use model::Model;

/// Writes a type: `shared::json::ToJson`, and serde's `Serialize` by way of it.
#[proc_macro_derive(Serialize, attributes(serde))]
pub fn serialize(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    Model::of(&input).map_or_else(syn::Error::into_compile_error, |model| write::code(&model)).into()
}

/// Reads a type: `shared::json::FromJson`, and serde's `Deserialize` by way of it.
#[proc_macro_derive(Deserialize, attributes(serde))]
pub fn deserialize(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    Model::of(&input).map_or_else(syn::Error::into_compile_error, |model| read::code(&model)).into()
}
