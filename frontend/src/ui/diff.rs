//! A unified diff, coloured line by line.

use leptos::prelude::*;
use shared::shown;

use super::components::ShowAll;

/// Lines that show before one asks for all.
const PREVIEW: usize = 24;

/// The diff. `whole`: not its beginning alone.
#[component]
pub fn Diff(diff: Signal<String>, #[prop(optional)] whole: bool) -> impl IntoView {
    let all = RwSignal::new(whole);
    let total = Memo::new(move |_| diff.with(|diff| diff_lines(diff).count()));
    let lines = move || {
        let limit = if all.get() { usize::MAX } else { PREVIEW };
        diff.with(|diff| {
            diff_lines(diff)
                .take(limit)
                .map(|(kind, line)| view! { <span class="line" data-kind=kind>{format!("{}\n", shown::block(line))}</span> })
                .collect_view()
        })
    };
    view! {
        <pre class="diff" tabindex="0" aria-label="Changes">{lines}</pre>
        <Show when=move || !whole>
            <ShowAll all total preview=PREVIEW/>
        </Show>
    }
}

/// The lines of a diff with what each is. The two lines that name the files are left out, since the card's
/// head has them, and so is the place of what is all there is of a new file. A line that is removed or added
/// may look like one that names a file, and is shown.
fn diff_lines(diff: &str) -> impl Iterator<Item = (&'static str, &str)> {
    let mut first = diff.lines();
    let named =
        ["--- ", "+++ ", "@@ -"].iter().all(|start| first.next().is_some_and(|line| line.starts_with(start)));
    let lines = diff.lines().skip(if named { 2 } else { 0 });
    lines.filter(|line| !line.starts_with("@@ -0,0 ")).map(|line| {
        let kind = match line.as_bytes().first() {
            Some(b'+') => "added",
            Some(b'-') => "removed",
            Some(b'@') => "place",
            _ => "same",
        };
        (kind, line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_told_apart_line_by_line() {
        let diff = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n";
        let kinds: Vec<_> = diff_lines(diff).collect();
        assert_eq!(
            kinds,
            [("place", "@@ -1,2 +1,2 @@"), ("same", " same"), ("removed", "-old"), ("added", "+new")]
        );
    }

    #[test]
    fn what_looks_like_the_name_of_a_file_is_shown() {
        let shown = |diff: &str| diff_lines(diff).map(|(_, line)| line.to_owned()).collect::<Vec<_>>();
        for proposal in
            ["--- drop table\n+++ x\n", "--- a\n+++ b\n@@ 3 more lines @@\n", "+++ x\n", "-a\n--- b\n+c\n"]
        {
            assert_eq!(shown(proposal).join("\n") + "\n", proposal);
        }
        let within = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- y\n+++ z\n";
        assert_eq!(shown(within), ["@@ -1,2 +1,2 @@", "--- y", "+++ z"]);
    }
}
