//! Views in a real document.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use agent::CallId;
use agent::view::{DrainedLine, Lane, Patch, Row, RowKind, Severity, Span, ToolCard, ToolState, Waiting};
use leptos::prelude::*;
use send_wrapper::SendWrapper;
use shared::Timestamp;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::{wasm_bindgen_test as test, wasm_bindgen_test_configure};
use web_sys::{Element, HtmlElement, HtmlInputElement, HtmlSelectElement};

use super::focus::{autofocus, autoselect, kept, while_shown};
use super::prose::Prose;
use super::{Dispatch, Page, PageState};
use crate::state::{Ownership, RowBody, Stream};

wasm_bindgen_test_configure!(run_in_browser);

/// Mounts a view into a box of its own. What it was made under lives as long as the document.
fn mounted<V: IntoView + 'static>(make: impl FnOnce() -> V + 'static) -> Element {
    let stage: HtmlElement = document().create_element("div").expect("a box").unchecked_into();
    document().body().expect("a body").append_child(&stage).expect("room in it");
    mount_to(stage.clone(), make).forget();
    stage.into()
}

/// Lets effects run: they wait for the browser's microtasks.
async fn rendered() {
    let (done, waits) = futures_channel::oneshot::channel();
    set_timeout(
        move || {
            let _ = done.send(());
        },
        Duration::ZERO,
    );
    waits.await.expect("the timer fires");
}

fn find<T: JsCast>(stage: &Element, what: &str) -> T {
    stage.query_selector(what).expect("a selector").expect("such an element").unchecked_into()
}

fn said(stage: &Element) -> String {
    stage.text_content().unwrap_or_default()
}

#[test]
async fn text_and_attributes_follow_what_they_read() {
    let name = RwSignal::new("a".to_owned());
    let on = RwSignal::new(false);
    let stage = mounted(move || {
        view! {
            <p class="fixed" data-on=move || on.get().then_some("yes") title=move || name.get()>
                "It is " {move || name.get()} "."
            </p>
        }
    });
    let line: Element = find(&stage, "p.fixed");
    assert_eq!(said(&stage), "It is a.");
    assert_eq!(line.get_attribute("data-on"), None);
    name.set("b".to_owned());
    on.set(true);
    rendered().await;
    assert_eq!(said(&stage), "It is b.");
    assert_eq!(
        (line.get_attribute("data-on"), line.get_attribute("title")),
        (Some("yes".into()), Some("b".into()))
    );
    on.set(false);
    rendered().await;
    assert_eq!(line.get_attribute("data-on"), None);
}

#[test]
async fn what_stays_in_a_list_is_not_touched() {
    let items = RwSignal::new(vec![1_u64, 2, 3, 4]);
    let stage = mounted(move || {
        view! {
            <For each=kept(move || items.get()) key=|item| *item let(item)>
                <input id=format!("i{item}")/>
            </For>
        }
    });
    let shown = |stage: &Element| {
        let fields = stage.query_selector_all("input").expect("a selector");
        (0..fields.length())
            .filter_map(|at| Some(fields.item(at)?.unchecked_into::<Element>().id()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let third: HtmlElement = find(&stage, "#i3");
    third.focus().expect("it can have the focus");
    let has_focus = || document().active_element().is_some_and(|active| active.id() == "i3");
    for (next, ids) in [
        // The ones before it go, others come before and behind it, and the first becomes the last.
        (vec![3, 4], "i3 i4"),
        (vec![7, 3, 8, 4, 9], "i7 i3 i8 i4 i9"),
        (vec![3, 8, 4, 9, 7], "i3 i8 i4 i9 i7"),
        (vec![9, 3], "i9 i3"),
        (vec![9, 9, 3, 9], "i9 i3"),
    ] {
        items.set(next);
        rendered().await;
        assert_eq!(shown(&stage), ids);
        assert!(has_focus(), "the focus was lost on the way to {ids}");
    }
    items.set(vec![4, 3, 2, 1]);
    rendered().await;
    assert_eq!(shown(&stage), "i4 i3 i2 i1");
    items.set(Vec::new());
    rendered().await;
    assert_eq!(shown(&stage), "");
}

#[test]
async fn items_of_several_nodes_move_as_one() {
    let items = RwSignal::new(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    let louder = RwSignal::new(false);
    let stage = mounted(move || {
        view! {
            <For each=move || items.get() key=String::clone let(item)>
                <b>{item}</b>
                {move || if louder.get() { "! " } else { ". " }}
            </For>
        }
    });
    assert_eq!(said(&stage), "a. b. c. ");
    items.set(vec!["c".to_owned(), "b".to_owned(), "d".to_owned(), "a".to_owned()]);
    louder.set(true);
    rendered().await;
    assert_eq!(said(&stage), "c! b! d! a! ");
}

#[test]
async fn what_is_taken_away_is_told_nothing_and_follows_nothing() {
    let shows = RwSignal::new(true);
    let count = RwSignal::new(0_usize);
    let told = Rc::new(RefCell::new(Vec::new()));
    let (heard, ran) = (SendWrapper::new(told.clone()), SendWrapper::new(told.clone()));
    let stage = mounted(move || {
        view! {
            <Show when=move || shows.get() fallback=|| view! { <i>"nothing"</i> }>
                {
                    let (heard, ran) = (heard.clone(), ran.clone());
                    // Gone with what it was made under: reading it later would be an error.
                    let own = RwSignal::new("own".to_owned());
                    view! {
                        <input on:blur=while_shown(move |_| heard.borrow_mut().push(own.get_untracked()))/>
                        {move || { ran.borrow_mut().push(format!("{} {}", own.get(), count.get())); count.get() }}
                    }
                }
            </Show>
        }
    });
    find::<HtmlElement>(&stage, "input").focus().expect("it can have the focus");
    count.set(1);
    rendered().await;
    assert_eq!(*told.borrow(), ["own 0", "own 1"]);
    shows.set(false);
    rendered().await;
    count.set(2);
    rendered().await;
    assert_eq!(said(&stage), "nothing");
    assert_eq!(*told.borrow(), ["own 0", "own 1"], "after it was taken away");
    shows.set(true);
    rendered().await;
    assert_eq!(*told.borrow(), ["own 0", "own 1", "own 2"]);
}

#[test]
async fn a_choice_is_made_once_its_options_are_there() {
    let chosen = RwSignal::new("two".to_owned());
    let names = RwSignal::new(vec!["one".to_owned(), "two".to_owned()]);
    let stage = mounted(move || {
        view! {
            <select prop:value=move || { names.track(); chosen.get() }>
                {move || names.get().into_iter().map(|name| view! { <option value=name.clone() selected=name == chosen.get_untracked()>{name.clone()}</option> }).collect_view()}
            </select>
        }
    });
    let list: HtmlSelectElement = find(&stage, "select");
    assert_eq!(list.value(), "two");
    chosen.set("one".to_owned());
    rendered().await;
    assert_eq!(list.value(), "one");
}

#[test]
async fn a_field_and_its_signal_are_the_same_and_the_caret_stays() {
    let text = RwSignal::new("abcd".to_owned());
    let stage = mounted(move || view! { <input bind:value=text/> });
    let field: HtmlInputElement = find(&stage, "input");
    rendered().await;
    assert_eq!(field.value(), "abcd");
    field.set_value("abXcd");
    field.set_selection_range(3, 3).expect("a caret");
    field.dispatch_event(&web_sys::Event::new("input").expect("an event")).expect("a listener");
    rendered().await;
    assert_eq!(text.get_untracked(), "abXcd");
    assert_eq!(field.selection_start(), Ok(Some(3)));
    text.set(String::new());
    rendered().await;
    assert_eq!(field.value(), "");
}

#[test]
async fn a_memo_tells_only_what_is_new() {
    let number = RwSignal::new(1_usize);
    let runs = RwSignal::new(0_usize);
    let stage = mounted(move || {
        let even = Memo::new(move |_| number.get().is_multiple_of(2));
        view! { <p>{move || { runs.update_untracked(|runs| *runs += 1); if even.get() { "even" } else { "odd" } }}</p> }
    });
    for next in [3, 5, 7] {
        number.set(next);
        rendered().await;
    }
    assert_eq!((said(&stage).as_str(), runs.get_untracked()), ("odd", 1));
    number.set(8);
    rendered().await;
    assert_eq!((said(&stage).as_str(), runs.get_untracked()), ("even", 2));
}

#[test]
async fn a_field_that_comes_late_takes_the_focus() {
    let shows = RwSignal::new(false);
    let stage = mounted(move || {
        view! {
            <input id="early"/>
            <Show when=move || shows.get()>
                <input id="late" use:autofocus/>
            </Show>
        }
    });
    find::<HtmlElement>(&stage, "#early").focus().expect("it can have the focus");
    for shown in [true, false, true] {
        shows.set(shown);
        rendered().await;
        let active = document().active_element().map(|active| active.id()).unwrap_or_default();
        assert_eq!(active, if shown { "late" } else { "" });
    }
}

#[test]
async fn a_name_to_be_changed_is_selected() {
    let shows = RwSignal::new(false);
    let name = RwSignal::new("abcd".to_owned());
    let stage = mounted(move || {
        view! {
            <Show when=move || shows.get()>
                <input bind:value=name use:autoselect/>
            </Show>
        }
    });
    shows.set(true);
    rendered().await;
    let field: HtmlInputElement = find(&stage, "input");
    assert_eq!((field.selection_start(), field.selection_end()), (Ok(Some(0)), Ok(Some(4))));
}

#[test]
async fn what_grows_keeps_what_is_as_before() {
    let stream = Stream::default();
    let tail = stream.tail.clone();
    tail.set("one *two* thr".to_owned());
    let stage = mounted(move || view! { <Prose stream/> });
    let paragraph: Element = find(&stage, "p");
    let texts = paragraph.child_nodes();
    let last = (0..texts.length())
        .filter_map(|at| texts.item(at))
        .find(|node| node.node_value().as_deref() == Some(" thr"));
    let last = last.expect("its text");
    let selected = document().create_range().expect("a range");
    selected.set_start(&last, 1).expect("its text can be selected");
    selected.set_end(&last, 4).expect("its text can be selected");
    for (now, said_now) in [
        ("one *two* three", "one two three"),
        ("one *two* three `four`", "one two three four"),
        ("one *two* three `four` five", "one two three four five"),
    ] {
        tail.set(now.to_owned());
        rendered().await;
        assert_eq!(said(&stage), said_now);
        assert!(paragraph.is_connected() && last.is_connected(), "{now}");
        assert_eq!(String::from(selected.to_string()), "thr", "{now}");
    }
    tail.set("another".to_owned());
    rendered().await;
    assert_eq!(said(&stage), "another");
}

#[test]
async fn a_long_text_lies_in_boxes_whose_height_is_known_before_they_are_drawn() {
    let paragraph = "Words that fill a line. ".repeat(8) + "\n\n";
    let text = paragraph.repeat(500) + "The end.";
    let stage = mounted(move || {
        let page = PageState::new();
        let kind = RowKind::Text { text, live: false };
        page.take_in(vec![Patch::Row(Box::new(Row { id: 1, at: Timestamp(1), kind }))]);
        let RowBody::Text(stream) = page.rows.with_untracked(|rows| rows[0].body.clone()) else {
            panic!("it is a text")
        };
        view! { <Prose stream/> }
    });
    rendered().await;
    let count = |what: &str| stage.query_selector_all(what).expect("a selector").length();
    let sections = count(".section");
    assert!(sections > 8 && count(".section[data-full]") >= sections - 1, "{sections}");
    assert_eq!(count("p"), 501);
    assert!((1..=2).contains(&count(".tail p")), "{}", count(".tail p"));
    let first: Element = find(&stage, ".section");
    let style = first.get_attribute("style").unwrap_or_default();
    assert!(style.contains("contain-intrinsic-block-size: auto "), "{style}");
}

/// A patch for each kind of row, and one for each of the other panels.
fn patches() -> Vec<Patch> {
    let task = crate::state::tests::task("b1", 5);
    let card = |index, state, subject: &str| {
        let card = ToolCard::new(CallId(1), index, "bash".to_owned(), state);
        ToolCard { subject: subject.to_owned(), task: Some(task.id.clone()), ..card }
    };
    let asks =
        ToolState::Asks { reason: "It is not known.".to_owned(), always: Vec::new(), dangers: Vec::new() };
    let done = ToolCard {
        output: "out".to_owned(),
        diff: "-old\n+new\n".to_owned(),
        ..card(0, ToolState::Done, "ls")
    };
    let line = DrainedLine {
        task: task.id.clone(),
        status: "completed".to_owned(),
        text: "over".to_owned(),
        severity: Severity::Good,
    };
    let markdown = "# Head\n\n- [x] *one*\n- `two`\n\n> [three](https://a.b)\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```rust\nfn main() {}\n";
    let rows = [
        RowKind::User { text: "my message".to_owned() },
        RowKind::Text { text: markdown.to_owned(), live: true },
        RowKind::Thinking { text: "a thought".to_owned(), live: false },
        RowKind::Tool(Box::new(done)),
        RowKind::Tool(Box::new(card(1, asks, "rm x"))),
        RowKind::Drained { call: CallId(1), lines: vec![line] },
        RowKind::Notice { severity: Severity::Bad, text: "a fault".to_owned(), retry: true },
    ];
    let span = |id, lane| Span {
        id,
        lane,
        start: Timestamp(1_000),
        end: None,
        label: "a span".to_owned(),
        severity: Severity::Good,
    };
    let rows = rows.into_iter().zip(1..).map(|(kind, id)| Row { id, at: Timestamp(id), kind });
    rows.map(|row| Patch::Row(Box::new(row)))
        .chain([
            Patch::Tasks(vec![task.clone()]),
            Patch::Span(span(1, Lane::Call)),
            Patch::Span(span(2, Lane::Task { task: task.id.clone() })),
            Patch::Queue(vec![Waiting::Message {
                id: 1,
                text: "a message that waits".to_owned(),
                steer: false,
            }]),
        ])
        .collect()
}

#[test]
async fn each_panel_is_drawn_from_patches_and_goes_again() {
    let state = Rc::new(RefCell::new(None));
    let made = state.clone();
    let stage = mounted(move || {
        let page = PageState::new();
        made.replace(Some(page));
        provide_context(page);
        provide_context(Dispatch::new(|_| ()));
        view! { <Page/> }
    });
    let page = state.take().expect("the page is made at once");
    rendered().await;
    assert!(said(&stage).contains("Try the lesson"), "{}", said(&stage));
    let count = |what: &str| stage.query_selector_all(what).expect("a selector").length();
    page.take_in(patches());
    page.toast(Severity::Bad, "It did not work.".to_owned());
    page.ownership.set(Ownership::Driving);
    rendered().await;
    for (what, times) in [
        (".me", 1),
        (".prose h3, .prose ul, .prose blockquote, .prose table, .prose .code", 5),
        ("details.thinking", 1),
        (".tool", 1),
        (".tool .diff .line", 2),
        (".approval", 1),
        (".completions li", 1),
        (".notice", 1),
        (".task", 1),
        (".timeline .bar", 2),
        (".queue .messages li", 1),
        (".toast", 1),
    ] {
        assert_eq!(count(what), times, "{what}");
    }
    find::<HtmlElement>(&stage, ".task .open").click();
    find::<HtmlElement>(&stage, "[aria-label=Settings]").click();
    rendered().await;
    assert_eq!((count(".task .screen"), count("dialog.modal")), (1, 1));
    page.replay.set(Some(Vec::new()));
    rendered().await;
    assert_eq!((count("[aria-label=Replay] input[type=range]"), count(".me"), count(".task")), (1, 0, 1));
    page.replay.set(None);
    page.ownership.set(Ownership::Unpaired { reason: "a reason".to_owned() });
    rendered().await;
    assert_eq!((count(".unpaired .reason"), count(".workbench")), (1, 0));
}
