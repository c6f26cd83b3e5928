//! The timeline: the agent's calls and tools in one lane, each task in its own, and the moment of each drain.

pub(crate) mod layout;

use agent::CallId;
use agent::view::{Lane, Severity, Span};
use leptos::prelude::*;
use leptos::{ev, html};
use leptos_use::use_resize_observer;
use std::collections::BTreeMap;
use wasm_bindgen::JsCast;

use self::layout::{BAR, Bar, DrainView, LANE, Layout, Window};
use super::local::{Panel, use_local};
use super::notices::severity_str;
use super::{PageCommand, dom, use_dispatch, use_page};
use crate::format::{self, tenths};

/// The stretches that can be chosen.
const CHOICES: [(&str, Window); 4] = [
    ("auto", Window::Auto),
    ("all", Window::Fit),
    ("1 min", Window::Last(60_000)),
    ("10 min", Window::Last(600_000)),
];

/// The panel at the bottom.
#[component]
pub fn Timeline(#[prop(optional)] replays: bool) -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let window = RwSignal::new(Window::Auto);
    let width = RwSignal::new(800.0);
    let detail = RwSignal::new(None::<String>);
    let is_running =
        Memo::new(move |_| page.spans.with(|spans| spans.values().any(|span| span.end.is_none())));
    let laid = Memo::new(move |_| {
        // The clock moves the drawing only while something goes on.
        let now = if is_running.get() { local.now.get() } else { local.now.get_untracked() };
        page.spans.with(|spans| {
            page.drains.with(|drains| layout::layout(spans, drains, window.get(), now.0, width.get()))
        })
    });
    let drawing = NodeRef::<html::Div>::new();
    watch_width(drawing, width);

    let zoom = move |factor: f64, at: Option<f64>| {
        laid.with_untracked(|laid| {
            let x = at.or(laid.now).unwrap_or_else(|| width.get_untracked() / 2.0);
            let at = layout::time_at(x, laid.from, laid.length, width.get_untracked());
            window.set(layout::zoomed(laid.from, laid.length, at, factor));
        });
    };
    let shift =
        move |part: f64| laid.with_untracked(|laid| window.set(layout::moved(laid.from, laid.length, part)));
    let on_wheel = move |event: ev::WheelEvent| {
        if event.ctrl_key() || event.shift_key() {
            event.prevent_default();
            let by = if event.delta_y() == 0.0 { event.delta_x() } else { event.delta_y() };
            zoom(if by > 0.0 { 1.2 } else { 1.0 / 1.2 }, Some(f64::from(event.offset_x())));
        } else if event.delta_x().abs() > event.delta_y().abs() {
            event.prevent_default();
            shift(event.delta_x() / width.get_untracked());
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        match event.key().as_str() {
            "+" | "=" => zoom(1.0 / 1.5, None),
            "-" => zoom(1.5, None),
            "ArrowLeft" => shift(-0.2),
            "ArrowRight" => shift(0.2),
            "ArrowDown" => focus_item(1),
            "ArrowUp" => focus_item(-1),
            "0" => window.set(Window::Fit),
            "End" => window.set(Window::Auto),
            _ => return,
        }
        event.prevent_default();
    };
    let is_empty = move || page.spans.with(BTreeMap::is_empty);
    let buttons = CHOICES.map(|(name, choice)| {
        view! {
            <button
                type="button"
                class="quiet small"
                aria-pressed=move || (window.get() == choice).to_string()
                on:click=move |_| window.set(choice)
            >
                {name}
            </button>
        }
    });
    view! {
        <section
            class="timeline"
            id=Panel::Timeline.as_str()
            tabindex="-1"
            aria-labelledby="timeline-title"
            data-shown=move || (local.panel.get() == Panel::Timeline).then_some("")
        >
            <header>
                <h2 id="timeline-title">"Timeline"</h2>
                <span class="detail">
                    {move || match detail.get() {
                        Some(text) => text,
                        None if is_running.get() => "live".to_owned(),
                        None => String::new(),
                    }}
                </span>
                <span class="grow"></span>
                <div class="stretch" role="group" aria-label="How much is shown">{buttons}</div>
                <button type="button" class="quiet small" aria-label="Show a longer stretch" on:click=move |_| zoom(1.5, None)>"−"</button>
                <button type="button" class="quiet small" aria-label="Show a shorter stretch" on:click=move |_| zoom(1.0 / 1.5, None)>"+"</button>
                <div class="save">
                <Show when=move || !replays>
                    <button
                        type="button"
                        class="quiet small"
                        title="Play this session again"
                        disabled=is_empty
                        on:click=move |_| dispatch.send(PageCommand::Replay)
                    >
                        "replay"
                    </button>
                </Show>
                <button
                    type="button"
                    class="quiet small"
                    title="Save this session as JSON lines"
                    disabled=is_empty
                    on:click=move |_| dispatch.send(PageCommand::Export)
                >
                    "export"
                </button>
                </div>
            </header>
            <div class="lanes" tabindex="0" role="group" aria-label="Lanes: up and down go through the bars, left and right move, plus and minus zoom" on:keydown=on_key>
                <ol class="names">
                    <li>"agent"</li>
                    <For each=move || laid.with(|laid| laid.lanes.clone()) key=|lane| lane.task.clone() let(lane)>
                        <li>
                            <button type="button" class="link" title=lane.label.clone() on:click=move |_| local.show_task(&lane.task)>
                                {lane.label.clone()}
                            </button>
                        </li>
                    </For>
                </ol>
                <div class="drawing" node_ref=drawing on:wheel=on_wheel>
                    <Show when=move || !is_empty() fallback=|| view! { <p class="none">"Calls, tools and tasks will be drawn here as they happen."</p> }>
                        <Drawing laid width detail/>
                    </Show>
                </div>
            </div>
        </section>
    }
}

#[component]
fn Drawing(laid: Memo<Layout>, width: RwSignal<f64>, detail: RwSignal<Option<String>>) -> impl IntoView {
    let grid = move || laid.with(|laid| laid.lines(width.get()));
    let height = move || laid.with(|laid| laid.height);
    let ticks = move || {
        let (ticks, y) = laid.with(|laid| (laid.ticks.clone(), laid.height - 4.0));
        ticks
            .into_iter()
            .map(|(x, time)| view! { <text x=tenths(x + 3.0) y=tenths(y)>{format::elapsed(time)}</text> })
            .collect_view()
    };
    view! {
        <svg width=move || tenths(width.get()) height=move || tenths(height()) role="group" aria-label="What happened when">
            <path class="grid" d=grid></path>
            <g class="ticks" aria-hidden="true">{ticks}</g>
            <g>
                <For each=move || laid.with(|laid| laid.bars.keys().copied().collect::<Vec<_>>()) key=|id| *id let(id)>
                    <BarView id laid detail/>
                </For>
            </g>
            <g>
                <For each=move || laid.with(|laid| laid.drains.keys().copied().collect::<Vec<_>>()) key=|call| *call let(call)>
                    <DrainMarker call laid detail/>
                </For>
            </g>
            {move || laid.with(|laid| laid.now).map(|x| view! {
                <g class="now" aria-hidden="true">
                    <path d=move || format!("M{} 4V{}", tenths(x), tenths(height() - 4.0))></path>
                    <text x=move || tenths(beside(x, width.get())) y=move || tenths(height() - 4.0)>"now"</text>
                </g>
            })}
        </svg>
    }
}

#[component]
fn BarView(id: u64, laid: Memo<Layout>, detail: RwSignal<Option<String>>) -> impl IntoView {
    let page = use_page();
    let local = use_local();
    // What a bar shows hangs on the bar alone: all of what is drawn is many, and changes with every tick.
    let bar = Memo::new(move |_| laid.with(|laid| laid.bars.get(&id).cloned()));
    let of = move |what: fn(&Bar) -> f64| {
        bar.with(|bar| bar.as_ref().map_or_else(String::new, |bar| tenths(what(bar))))
    };
    let span = Memo::new(move |_| page.spans.with(|spans| spans.get(&id).cloned()));
    let description = move |now: Option<u64>| {
        span.with(|span| span.as_ref().map(|span| span_label(span, now))).unwrap_or_default()
    };
    let label = move || untrack(|| description(Some(local.now.get().0)));
    let task = page.spans.with_untracked(|spans| match spans.get(&id).map(|span| &span.lane) {
        Some(Lane::Task { task }) => Some(task.clone()),
        Some(Lane::Call | Lane::Tool) | None => None,
    });
    let show = StoredValue::new(task);
    let press = move || {
        if let Some(task) = show.get_value() {
            local.show_task(&task);
        }
    };
    view! {
        <rect
            class="bar item"
            tabindex="-1"
            role=if show.with_value(Option::is_some) { "button" } else { "img" }
            aria-label=move || description(None)
            data-kind=move || bar.with(|bar| bar.as_ref().map(|bar| bar.kind))
            data-severity=move || bar.with(|bar| bar.as_ref().map(|bar| severity_str(bar.severity)))
            data-open=move || bar.with(|bar| bar.as_ref().is_some_and(|bar| bar.open).then_some(""))
            x=move || of(|bar| bar.x)
            y=move || of(|bar| bar.y)
            width=move || of(|bar| bar.width)
            height=tenths(BAR)
            rx="3"
            on:pointerenter=move |_| detail.set(Some(label()))
            on:pointerleave=move |_| detail.set(None)
            on:focus=move |_| detail.set(Some(label()))
            on:blur=move |_| detail.set(None)
            on:click=move |_| press()
            on:keydown=move |event: ev::KeyboardEvent| {
                if matches!(event.key().as_str(), "Enter" | " ") {
                    event.prevent_default();
                    press();
                }
            }
        ></rect>
    }
}

/// Where the word "now" begins: right of its line, or left where there is no room.
fn beside(x: f64, width: f64) -> f64 {
    if x + 30.0 > width { x - 28.0 } else { x + 5.0 }
}

/// Puts the focus on the next or the former of all bars and drains.
fn focus_item(by: i32) {
    let Ok(items) = document().query_selector_all(".timeline .item") else { return };
    let active = document().active_element();
    let at: Option<u32> =
        (0..items.length()).find(|at| items.get(*at).as_ref() == active.as_ref().map(AsRef::as_ref));
    let next = match at {
        Some(at) => at.saturating_add_signed(by),
        None if by > 0 => 0,
        None => items.length().saturating_sub(1),
    };
    if let Some(item) = items.get(next).and_then(|item| item.dyn_into::<web_sys::SvgElement>().ok()) {
        // Fails only for elements that are gone.
        let _ = item.focus();
    }
}

/// What a bar stands for. How long it has gone on is said only where the moment is known: a name that stays
/// must stay true.
fn span_label(span: &Span, now: Option<u64>) -> String {
    let kind = match &span.lane {
        Lane::Call => "call".to_owned(),
        Lane::Tool => "tool".to_owned(),
        Lane::Task { task } => format!("task {task}"),
    };
    let since = |end: u64| format::took(end.saturating_sub(span.start.0));
    let took = match (span.end, now) {
        (Some(end), _) => since(end.0),
        (None, Some(now)) => format!("so far {}", since(now)),
        (None, None) => "goes on".to_owned(),
    };
    let failed = if span.end.is_some() && span.severity == Severity::Bad { " · failed" } else { "" };
    format!("{kind} · {} · {took}{failed} · from {}", span.label, dom::time_of_day(span.start))
}

#[component]
fn DrainMarker(call: CallId, laid: Memo<Layout>, detail: RwSignal<Option<String>>) -> impl IntoView {
    let dispatch = use_dispatch();
    let drain = Memo::new(move |_| laid.with(|laid| laid.drains.get(&call).cloned()));
    let text = move |what: fn(&DrainView) -> String| {
        drain.with(|drain| drain.as_ref().map(what).unwrap_or_default())
    };
    let label = move || {
        let count = drain.with(|drain| drain.as_ref().map_or(0, |drain| drain.count));
        format!(
            "{} delivered to the model with call {}; press to view the request",
            format::count(count, "result"),
            call.0
        )
    };
    let show = move || dispatch.send(PageCommand::ShowCall(call));
    view! {
        <g
            class="drain item"
            tabindex="-1"
            role="button"
            aria-label=label
            on:pointerenter=move |_| detail.set(Some(label()))
            on:pointerleave=move |_| detail.set(None)
            on:focus=move |_| detail.set(Some(label()))
            on:blur=move |_| detail.set(None)
            on:click=move |_| show()
            on:keydown=move |event: ev::KeyboardEvent| {
                if matches!(event.key().as_str(), "Enter" | " ") {
                    event.prevent_default();
                    show();
                }
            }
        >
            <path d=move || text(|drain| drain.path.clone())></path>
            <circle cx=move || text(|drain| tenths(drain.x)) cy=move || text(|drain| tenths(drain.y)) r="4"></circle>
            <text x=move || text(|drain| tenths(drain.x + 6.0)) y=tenths(LANE - 13.0)>
                {move || text(|drain| if drain.has_label { format!("{} drained", drain.count) } else { String::new() })}
            </text>
        </g>
    }
}

/// Keeps `width` at the width of the element.
fn watch_width(node: NodeRef<html::Div>, width: RwSignal<f64>) {
    use_resize_observer(node, move |_, _| {
        let Some(Some(element)) = node.try_get_untracked() else { return };
        let new = f64::from(element.client_width()).max(60.0);
        if width.try_get_untracked().is_some_and(|old| (old - new).abs() > 0.5) {
            width.set(new);
        }
    });
}
