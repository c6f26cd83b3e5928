//! A task's live output: coloured lines that follow the end.

use std::sync::Arc;

use agent::event::Command;
use leptos::prelude::*;
use shared::TaskId;
use shared::task::Task;

use super::auto_scroll::AutoScroll;
use super::local::use_local;
use super::{PageCommand, use_dispatch, use_page};
use crate::format;
use crate::terminal::{Chunk, Color, Line, Run, Screen};

/// The output. It is watched for as long as it is shown.
#[component]
pub fn ScreenView(id: TaskId, serial: u64, screen: RwSignal<Screen>, task: RwSignal<Task>) -> impl IntoView {
    let dispatch = use_dispatch();
    let page = use_page();
    let local = use_local();
    let scroll = AutoScroll::new();
    // By the session's own agent, also where another one is shown by the time it ends.
    let session = page.sessions.with_untracked(|sessions| sessions.current);
    let send = move |event: Command| {
        if let Some(session) = session {
            dispatch.send(PageCommand::AgentOf(session, event));
        }
    };
    if local.watches(&id, serial) {
        screen.set(Screen::default());
        send(Command::Watch { task: id.clone(), viewer: 0 });
    }
    on_cleanup(move || {
        if local.watches_no_more(&id) {
            // It comes again whole when it is looked at again.
            let _ = screen.try_set(Screen::default());
            send(Command::Unwatch { task: id, viewer: 0 });
        }
    });

    let dropped = Memo::new(move |_| screen.with(Screen::dropped));
    let chunks = Memo::new(move |_| screen.with(|screen| Chunks(screen.chunks().to_vec())));
    let silent = move || screen.with(Screen::is_empty) && task.with(|task| task.output_bytes == 0);
    let is_cut = move || dropped.get() > 0;
    view! {
        <div class="screen" tabindex="0" role="region" aria-label="Output" node_ref=scroll.window on:scroll=move |_| scroll.scrolled()>
            <div node_ref=scroll.content>
                <Show when=silent>
                    <p class="marker">{move || if task.with(Task::is_active) { "No output yet" } else { "No output" }}</p>
                </Show>
                <Show when=is_cut>
                    <p class="marker">{move || format!("… {} earlier lines; see the whole log …", format::grouped(dropped.get()))}</p>
                </Show>
                <For each=move || chunks.get().0 key=|chunk| chunk.first let(chunk)>
                    <div class="chunk">{lines(&chunk.lines)}</div>
                </For>
                <div class="chunk">{move || screen.with(|screen| lines(&screen.tail()))}</div>
            </div>
        </div>
    }
}

/// Chunks, equal if they begin and end with the same.
#[derive(Clone)]
struct Chunks(Vec<Arc<Chunk>>);

impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        let ends = |chunks: &Self| (chunks.0.first().map(|c| c.first), chunks.0.last().map(|c| c.first));
        ends(self) == ends(other)
    }
}

fn lines(lines: &[Line]) -> Vec<AnyView> {
    lines
        .iter()
        .map(|line| {
            if line.is_marker {
                let text: String = line.runs.iter().map(|run| run.text.as_str()).collect();
                view! { <p class="marker">{text}</p> }.into_any()
            } else {
                view! { <div class="line">{line.runs.iter().map(run).collect_view()}</div> }.into_any()
            }
        })
        .collect()
}

fn run(run: &Run) -> AnyView {
    let text = run.text.clone();
    let style = run.style;
    if style == crate::terminal::Style::default() {
        return text.into_any();
    }
    let (mut fg, mut bg) = (css_color(style.fg), css_color(style.bg));
    // The page's own colour may not be legible on one that the command chose.
    if let (Color::Default, Color::Rgb(r, g, b)) = (style.fg, style.bg) {
        let light = u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114;
        fg.value = Some(if light > 128_000 { "#111" } else { "#fff" }.to_owned());
    }
    if style.inverse {
        (fg, bg) = (bg.or("page"), fg.or("ink"));
    }
    let weights: Vec<&str> = [
        (style.bold, "bold"),
        (style.dim, "dim"),
        (style.italic, "italic"),
        (style.underline, "underline"),
        (style.strike, "strike"),
    ]
    .into_iter()
    .filter_map(|(on, name)| on.then_some(name))
    .collect();
    let weights = (!weights.is_empty()).then(|| weights.join(" "));
    view! {
        <span
            data-fg=fg.name
            data-bg=bg.name
            data-weight=weights
            style:color=fg.value
            style:background-color=bg.value
        >
            {text}
        </span>
    }
    .into_any()
}

/// A colour by its theme's name, or by its value.
#[derive(Default)]
struct CssColor {
    name: Option<String>,
    value: Option<String>,
}

impl CssColor {
    fn or(self, name: &str) -> Self {
        if self.name.is_none() && self.value.is_none() {
            Self { name: Some(name.to_owned()), value: None }
        } else {
            self
        }
    }
}

fn css_color(color: Color) -> CssColor {
    match color {
        Color::Default => CssColor::default(),
        Color::Theme(n) => CssColor { name: Some(n.to_string()), value: None },
        Color::Rgb(r, g, b) => CssColor { name: None, value: Some(format!("rgb({r} {g} {b})")) },
    }
}
