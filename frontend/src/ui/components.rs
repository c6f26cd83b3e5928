//! Pieces that know nothing of agents: icons, a dialog, a button that copies.

use leptos::prelude::*;
use leptos::{ev, html};

use super::dom;

/// A drawing in the colour of the text around it. It says nothing; its button's label does.
#[derive(Clone, Copy)]
pub(crate) enum Icon {
    Logo,
    Gear,
    Help,
    Close,
    Edit,
    Trash,
    Up,
    Down,
    Sides,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Logo => "M2 4.5h12M4.5 8.5h7M7 12.5h7",
            Self::Gear => {
                "M8 5.6a2.4 2.4 0 1 0 0 4.8a2.4 2.4 0 1 0 0-4.8M8 1.5v2M8 12.5v2M1.5 8h2M12.5 8h2M3.4 3.4l1.4 1.4M11.2 11.2l1.4 1.4M12.6 3.4l-1.4 1.4M4.8 11.2l-1.4 1.4"
            }
            Self::Help => "M5.6 6a2.4 2.4 0 1 1 3.5 2.1c-.7.4-1.1.8-1.1 1.6M8 12.2v.1",
            Self::Close => "M4 4l8 8M12 4l-8 8",
            Self::Edit => "M10.5 3l2.5 2.5L6 12.5l-3 .5l.5-3z",
            Self::Trash => "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.5 8.5h6l.5-8.5",
            Self::Up => "M8 12.5v-9M4 7.5l4-4l4 4",
            Self::Down => "M8 3.5v9M4 8.5l4 4l4-4",
            Self::Sides => "M2.5 3.5h11v9h-11zM6 3.5v9",
        }
    }
}

/// Draws an icon.
#[component]
pub fn IconView(icon: Icon) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d=icon.path()></path>
        </svg>
    }
}

/// A button that is only an icon.
#[component]
pub fn IconButton(
    icon: Icon,
    #[prop(into)] label: Signal<String>,
    on_press: impl Fn() + 'static,
    #[prop(optional, into)] pressed: Option<Signal<bool>>,
    #[prop(optional, into)] disabled: Signal<bool>,
) -> impl IntoView {
    view! {
        <button
            type="button"
            class="icon-button"
            aria-label=move || label.get()
            title=move || label.get()
            aria-pressed=move || pressed.map(|pressed| pressed.get().to_string())
            disabled=move || disabled.get()
            on:click=move |_| on_press()
        >
            <IconView icon/>
        </button>
    }
}

/// A label, and all there is to say of them at a press: on the platform's own layer, which any other press
/// closes.
#[component]
pub fn Popover(
    id: &'static str,
    label: impl Fn() -> String + Send + 'static,
    more: impl Fn() -> String + Send + 'static,
) -> impl IntoView {
    view! {
        <button type="button" class=format!("link {id}") popovertarget=id>{label}</button>
        <p class="note-over" id=id popover="auto">{more}</p>
    }
}

/// A button that shows all of what is cut to a preview, where there is more.
#[component]
pub fn ShowAll(all: RwSignal<bool>, total: Memo<usize>, preview: usize) -> impl IntoView {
    let is_long = move || total.get() > preview;
    view! {
        <Show when=is_long>
            <div class="more">
                <button
                    type="button"
                    class="quiet small"
                    aria-expanded=move || all.get().to_string()
                    on:click=move |_| all.update(|all| *all = !*all)
                >
                    {move || if all.get() { "Show less".to_owned() } else { format!("Show {}", line_count(total.get())) }}
                </button>
            </div>
        </Show>
    }
}

fn line_count(total: usize) -> String {
    if total == 1 { "1 line".to_owned() } else { format!("all {total} lines") }
}

/// A button that copies a text and says so for a moment, or why it could not.
#[component]
pub fn CopyButton(
    text: impl Fn() -> String + 'static,
    #[prop(optional, into)] label: String,
) -> impl IntoView {
    let outcome = RwSignal::new(None::<Result<(), String>>);
    let label = if label.is_empty() { "Copy".to_owned() } else { label };
    let press = move |_| {
        let copied = dom::copy(&text());
        leptos::task::spawn_local(async move {
            let copied = copied.await;
            let shown = if copied.is_ok() { 1_500 } else { 7_000 };
            let _ = outcome.try_set(Some(copied));
            let reset = move || {
                // The button may be gone by then.
                let _ = outcome.try_set(None);
            };
            set_timeout(reset, std::time::Duration::from_millis(shown));
        });
    };
    view! {
        <button type="button" class="quiet small" on:click=press>
            {move || match outcome.get() {
                Some(Ok(())) => "Copied".to_owned(),
                Some(Err(reason)) => reason,
                None => label.clone(),
            }}
        </button>
    }
}

/// A list to choose from. A key that goes through it while it is closed changes what it shows at every step,
/// and that is no choice yet: Enter makes it one, and so does going on to elsewhere; Escape takes it back.
#[derive(Clone, Copy)]
pub(crate) struct Picking<C, S> {
    /// What is done with a choice; told whether the focus has left, when nothing may open.
    choose: C,
    /// What is chosen, as the list names it.
    chosen: S,
    stepped: StoredValue<bool>,
    /// What the keys have come to.
    at: StoredValue<Option<String>>,
}

impl<C: Fn(String, bool) + Copy, S: Fn() -> String + Copy> Picking<C, S> {
    pub(crate) fn new(chosen: S, choose: C) -> Self {
        Self { choose, chosen, stepped: StoredValue::new(false), at: StoredValue::new(None) }
    }

    pub(crate) fn key(self, event: &ev::KeyboardEvent) {
        match event.key().as_str() {
            "Enter" => {
                // Nor does it send the form around it.
                event.prevent_default();
                self.commit(false);
            }
            "Escape" if self.at.with_value(Option::is_some) => {
                event.stop_propagation();
                event.prevent_default();
                self.at.set_value(None);
                let list: web_sys::HtmlSelectElement = event_target(event);
                list.set_value(&untrack(self.chosen));
            }
            // These open it.
            " " | "F4" => {}
            _ => self.stepped.set_value(!event.alt_key() && !event.ctrl_key() && !event.meta_key()),
        }
    }

    pub(crate) fn key_up(self) {
        self.stepped.set_value(false);
    }

    pub(crate) fn change(self, event: &ev::Event) {
        let to = event_target_value(event);
        if self.stepped.get_value() {
            self.at.set_value(Some(to));
        } else {
            self.at.set_value(None);
            (self.choose)(to, false);
        }
    }

    pub(crate) fn left(self) {
        self.commit(true);
    }

    fn commit(self, left: bool) {
        if let Some(Some(to)) = self.at.try_update_value(Option::take) {
            (self.choose)(to, left);
        }
    }
}

/// A modal dialog of the platform's own: it keeps the focus and closes on Escape.
#[component]
pub fn Modal(
    #[prop(into)] title: String,
    #[prop(optional)] wide: bool,
    on_close: impl Fn() + Copy + 'static,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        if let Some(dialog) = node.get()
            && !dialog.open()
        {
            // Fails only for a dialog that is not in the document.
            let _ = dialog.show_modal();
        }
    });
    let heading = format!("dialog-{}", title.to_ascii_lowercase().replace(' ', "-"));
    let labelled = heading.clone();
    // Closing by the platform's own way gives the focus back to where it was.
    let close = move || {
        if let Some(dialog) = node.get_untracked() {
            dialog.close();
        }
    };
    // A press on the backdrop is a press on the dialog itself, since everything visible is inside its child.
    let backdrop = move |event: ev::MouseEvent| {
        let target = event.target();
        if node.get_untracked().is_some_and(|dialog| target.as_ref() == Some(dialog.as_ref())) {
            close();
        }
    };
    view! {
        <dialog
            class="modal"
            data-wide=wide.then_some("")
            node_ref=node
            aria-labelledby=labelled
            on:close=move |_| on_close()
            on:mousedown=backdrop
        >
            <div class="sheet">
                <header>
                    <h2 id=heading>{title}</h2>
                    <IconButton icon=Icon::Close label="Close" on_press=close/>
                </header>
                <div class="body">{children()}</div>
            </div>
        </dialog>
    }
}
