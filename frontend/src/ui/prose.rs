//! Markdown as elements. Text becomes text nodes, never HTML.

use leptos::prelude::*;

use super::components::CopyButton;
use super::growing::Growing;
use crate::markdown::{self, Alignment, Block, Inline, Item};
use crate::state::Stream;

/// A text that grows: closed blocks are drawn once, the last one whenever it grows.
#[component]
pub fn Prose(stream: Stream) -> impl IntoView {
    let closed = RwSignal::from(stream.closed);
    let tail = RwSignal::from(stream.tail);
    let live = RwSignal::from(stream.live);
    let language = Memo::new(move |_| {
        tail.with(|tail| markdown::open_fence(tail).map(|(language, _)| language.to_owned()))
    });
    let code = Signal::derive(move || {
        tail.with(|tail| markdown::open_fence(tail).map_or_else(String::new, |(_, code)| code.to_owned()))
    });
    view! {
        <div class="prose" data-live=move || live.get().then_some("")>
            <For each=move || closed.get() key=|(start, _)| *start let((_, source))>
                {blocks(markdown::parse(&source))}
            </For>
            {move || match language.get() {
                Some(language) => view! { <Code language text=code/> }.into_any(),
                None => (move || tail.with(|tail| blocks(markdown::parse(tail)))).into_any(),
            }}
        </div>
    }
}

fn blocks(blocks: Vec<Block>) -> Vec<AnyView> {
    blocks.into_iter().map(block).collect()
}

fn block(block: Block) -> AnyView {
    match block {
        Block::Paragraph(inner) => view! { <p>{inlines(inner)}</p> }.into_any(),
        Block::Plain(inner) => inlines(inner).into_any(),
        // The page's own headings come before those of an answer.
        Block::Heading { level: 1, inlines: inner } => {
            view! { <h3 class="first">{inlines(inner)}</h3> }.into_any()
        }
        Block::Heading { level: 2, inlines: inner } => view! { <h4>{inlines(inner)}</h4> }.into_any(),
        Block::Heading { inlines: inner, .. } => view! { <h5>{inlines(inner)}</h5> }.into_any(),
        Block::Code { language, text } => view! { <Code language text=Signal::stored(text)/> }.into_any(),
        Block::Quote(inner) => view! { <blockquote dir="auto">{blocks(inner)}</blockquote> }.into_any(),
        Block::List { start: Some(start), items } => {
            view! { <ol dir="auto" start=start.to_string()>{items.into_iter().map(item).collect_view()}</ol> }
                .into_any()
        }
        Block::List { start: None, items } => {
            view! { <ul dir="auto">{items.into_iter().map(item).collect_view()}</ul> }.into_any()
        }
        Block::Table { alignments, head, rows } => table(&alignments, head, rows).into_any(),
        Block::Rule => view! { <hr/> }.into_any(),
    }
}

fn item(item: Item) -> impl IntoView {
    let tick = item.ticked.map(|ticked| {
        let label = if ticked { "done" } else { "open" };
        view! { <input type="checkbox" disabled=true checked=ticked aria-label=label/> }
    });
    let is_task = item.ticked.is_some().then_some("");
    view! { <li data-task=is_task>{tick}{blocks(item.blocks)}</li> }
}

fn table(alignments: &[Alignment], head: Vec<Vec<Inline>>, rows: Vec<Vec<Vec<Inline>>>) -> impl IntoView {
    let align = |column: usize| match alignments.get(column) {
        Some(Alignment::Right) => Some("right"),
        Some(Alignment::Center) => Some("center"),
        Some(Alignment::Left | Alignment::None) | None => None,
    };
    let head = head.into_iter().enumerate().map(|(column, cell)| {
        view! { <th scope="col" data-align=align(column)>{inlines(cell)}</th> }
    });
    let head = head.collect_view();
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate().map(|(column, cell)| {
            view! { <td data-align=align(column)>{inlines(cell)}</td> }
        });
        view! { <tr>{cells.collect_view()}</tr> }
    });
    let rows = rows.collect_view();
    view! {
        <div class="table" tabindex="0" role="region" aria-label="Table">
            <table dir="auto">
                <thead><tr>{head}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn inlines(inlines: Vec<Inline>) -> Vec<AnyView> {
    inlines.into_iter().map(inline).collect()
}

fn inline(inline: Inline) -> AnyView {
    match inline {
        Inline::Text(text) => Growing(text).into_any(),
        Inline::Code(code) => view! { <code>{code}</code> }.into_any(),
        Inline::Emphasis(inner) => view! { <em>{inlines(inner)}</em> }.into_any(),
        Inline::Strong(inner) => view! { <strong>{inlines(inner)}</strong> }.into_any(),
        Inline::Struck(inner) => view! { <s>{inlines(inner)}</s> }.into_any(),
        Inline::Link { href, inlines: inner } => {
            view! { <a href=href rel="noopener noreferrer" target="_blank">{inlines(inner)}</a> }.into_any()
        }
        Inline::Break => view! { <br/> }.into_any(),
    }
}

/// How many bytes of code make a piece: a browser sets a piece anew as a whole.
const PIECE: usize = 4 * 1024;

/// A block of code with a button that copies it. Of one that grows only the last piece is set anew.
#[component]
pub fn Code(language: String, text: Signal<String>) -> impl IntoView {
    let cut = move || text.with(|text| pieces(text));
    view! {
        <div class="code">
            <div class="bar">
                <span>{language}</span>
                <CopyButton text=move || text.get_untracked()/>
            </div>
            <pre tabindex="0">
                <code>
                    <For each=cut key=|(start, end)| (*start, end.is_some()) let((start, end))>
                        {match end {
                            Some(end) => view! { <span class="piece">{text.with_untracked(|text| text.get(start..end).unwrap_or_default().to_owned())}</span> }.into_any(),
                            None => (move || text.with(|text| Growing(text.get(start..).unwrap_or_default().to_owned()))).into_any(),
                        }}
                    </For>
                </code>
            </pre>
        </div>
    }
}

/// Where the pieces of a code begin and end, without the end of their last lines; the last has no end, and is whatever comes behind them.
fn pieces(text: &str) -> Vec<(usize, Option<usize>)> {
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        // An empty line at the end of a piece would not be seen.
        if at - start > PIECE && line.ends_with('\n') && !line.trim().is_empty() && at < text.len() {
            pieces.push((start, Some(at - 1)));
            start = at;
        }
    }
    pieces.push((start, None));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_comes_in_pieces_that_make_the_whole() {
        let line = "x".repeat(100) + "\n";
        for count in [0, 1, 50, 500] {
            let text = line.repeat(count) + "end";
            let pieces = pieces(&text);
            let whole: String = pieces
                .iter()
                .map(|(start, end)| {
                    end.map_or_else(|| text[*start..].to_owned(), |end| format!("{}\n", &text[*start..end]))
                })
                .collect();
            assert_eq!(whole, text);
            assert_eq!(pieces.len(), 1 + count / 41, "{count}");
            // What was closed stays as it was.
            let before = super::pieces(&text[..text.len() / 2]);
            assert_eq!(before[..before.len() - 1], pieces[..before.len() - 1]);
        }
    }
}
