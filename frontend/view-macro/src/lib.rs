//! `view!`: Leptos's markup, written as calls to the page's builder (`frontend/src/view`).
//!
//! Leptos makes a type of every element and code for every type, which is quick and large: more than half of a page that has to be
//! fetched. Here every element is the same type, and each attribute, listener and child is one call. What may be written:
//!
//! - elements, with `name="text"`, `name=expression`, `name` alone, `on:event=handler`, `prop:name=expression`,
//!   `bind:value=signal` and `node_ref=reference`; an expression that is a closure is followed;
//! - components, made by Leptos's `#[component]`, with their properties, `name` alone for `name=name`, and children;
//! - `<Show when fallback>` and `<For each key let(item)>`;
//! - `"text"` and `{expression}`.

mod lower;

use proc_macro::TokenStream;

/// Makes a `View` of markup.
#[proc_macro]
pub fn view(tokens: TokenStream) -> TokenStream {
    let made = rstml::parse2(tokens.into()).and_then(|nodes| lower::views(&nodes));
    made.unwrap_or_else(|error| error.to_compile_error()).into()
}
