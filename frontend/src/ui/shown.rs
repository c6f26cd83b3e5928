//! Text of others, drawn so that nothing in them is hidden: escapes and counted blanks stand out from what is
//! written.

use leptos::prelude::*;
use shared::shown::{Piece, pieces};

/// The text, in pieces.
#[component]
pub fn Shown(text: Signal<String>) -> impl IntoView {
    move || {
        let pieces = text.with(|text| pieces(text));
        let draw = |piece| match piece {
            Piece::Text(text) => text.into_any(),
            Piece::Sign(escape) => view! { <mark class="sign">{escape}</mark> }.into_any(),
            Piece::Blank(name) => view! { <mark class="blank">{name}</mark> }.into_any(),
        };
        pieces.into_iter().map(draw).collect_view()
    }
}
