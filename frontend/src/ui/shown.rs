//! Words of others, drawn so that nothing in them is hidden: escapes and counted blanks stand out from what is written.

use leptos::prelude::*;
use shared::shown::{Piece, pieces};

use crate::view::{View, view};

/// The text, in pieces.
#[component]
pub fn Shown(text: Signal<String>) -> View {
    let drawn = move || {
        let pieces = text.with(|text| pieces(text));
        let draw = |piece| match piece {
            Piece::Text(text) => view! { {text} },
            Piece::Sign(escape) => view! { <mark class="sign">{escape}</mark> },
            Piece::Blank(words) => view! { <mark class="blank">{words}</mark> },
        };
        pieces.into_iter().map(draw).collect::<Vec<View>>()
    };
    view! { {drawn} }
}
