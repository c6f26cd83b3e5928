//! Markdown as elements. Text becomes text nodes, never HTML.
//!
//! A long text lies in sections, a box each. Of a full one the browser is told how high it is, about, and
//! leaves undone what nobody sees of it.

use leptos::prelude::*;

use super::components::CopyButton;
use super::growing::Growing;
use crate::markdown::{self, Alignment, Block, Inline, Item};
use crate::state::{OpenCode, PART, Part, PartBody, Section, Stream};

/// How high a line is, in tenths of the letters' size.
const LINE_HEIGHT: usize = 15;

/// A text that grows: closed parts are drawn once, the last block whenever it grows.
#[component]
pub fn Prose(stream: Stream) -> impl IntoView {
    let closed = RwSignal::from(stream.closed.clone());
    let tail = RwSignal::from(stream.tail.clone());
    let continues = RwSignal::from(stream.continues.clone());
    let live = RwSignal::from(stream.live.clone());
    let in_code = Memo::new(move |_| stream.open_code().is_some());
    view! {
        <div class="prose" data-live=move || live.get().then_some("")>
            <For each=move || closed.get() key=|section| section.serial let(section)>
                <SectionView section tail/>
            </For>
            <div class="tail" data-continues=move || continues.get().then_some("")>
                {move || (!in_code.get()).then_some(move || tail.with(|tail| blocks(markdown::parse(tail))))}
            </div>
        </div>
    }
}

#[component]
fn SectionView(section: Section, tail: RwSignal<String>) -> impl IntoView {
    let parts = RwSignal::from(section.parts);
    let height = RwSignal::from(section.height);
    view! {
        <div
            class="section"
            data-continues=section.continues.then_some("")
            data-full=move || height.get().map(|_| "")
            style:contain-intrinsic-block-size=move || height.get().map(intrinsic_size)
        >
            <For each=move || parts.get() key=|part| part.start let(part)>
                {part_view(part, tail)}
            </For>
        </div>
    }
}

fn part_view(part: Part, tail: RwSignal<String>) -> AnyView {
    match part.body {
        PartBody::Blocks(source) => blocks(markdown::parse(&source)).into_any(),
        PartBody::Code(code) => view! { <GrowingCode code tail/> }.into_any(),
    }
}

/// What stands for the height of so many lines until they were drawn once: from then on, what they had.
fn intrinsic_size(lines: usize) -> String {
    let tenths = lines * LINE_HEIGHT;
    format!("auto {}.{}em", tenths / 10, tenths % 10)
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
        Block::Code { language, text } => view! { <Code language text/> }.into_any(),
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

/// A block of code with a button that copies it.
#[component]
fn Code(language: String, text: String) -> impl IntoView {
    let drawn = pieces(&text).into_iter().map(piece).collect_view();
    code_box(language, move || text.clone(), drawn)
}

/// The same while it is written: of what is there only the last lines are set anew.
#[component]
fn GrowingCode(code: OpenCode, tail: RwSignal<String>) -> impl IntoView {
    let pieces = RwSignal::from(code.pieces.clone());
    let closing = RwSignal::from(code.closing.clone());
    let is_open = Memo::new(move |_| closing.with(Option::is_none));
    let language = code.language.to_string();
    let copied = move || {
        let last = if is_open.get_untracked() { tail.get_untracked() } else { String::new() };
        untrack(|| code.text()) + &last
    };
    let drawn = view! {
        <For each=move || pieces.get().into_iter().enumerate() key=|(n, _)| *n let((_, text))>
            {piece(text.strip_suffix('\n').unwrap_or(&text).to_owned())}
        </For>
        {move || is_open.get().then_some(move || tail.with(|tail| Growing(tail.clone())))}
    };
    code_box(language, copied, drawn)
}

fn piece(text: String) -> impl IntoView {
    view! { <span class="piece">{text}</span> }
}

fn code_box(language: String, text: impl Fn() -> String + 'static, drawn: impl IntoView) -> impl IntoView {
    view! {
        <div class="code">
            <div class="bar">
                <span>{language}</span>
                <CopyButton text/>
            </div>
            <pre tabindex="0"><code>{drawn}</code></pre>
        </div>
    }
}

/// A code in pieces, each without the end of its last line.
fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        // An empty line at the end of a piece would not be seen.
        if at - start > PART && line.ends_with('\n') && !line.trim().is_empty() && at < text.len() {
            pieces.push(text[start..at - 1].to_owned());
            start = at;
        }
    }
    pieces.push(text[start..].to_owned());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_drawn_yet_has_a_height() {
        assert_eq!(intrinsic_size(101), "auto 151.5em");
    }

    #[test]
    fn code_comes_in_pieces_that_make_the_whole() {
        let line = "x".repeat(100) + "\n";
        for count in [0, 1, 50, 500] {
            let text = line.repeat(count) + "end";
            let pieces = pieces(&text);
            assert_eq!(pieces.join("\n"), text);
            assert_eq!(pieces.len(), 1 + count / 41, "{count}");
        }
    }
}
