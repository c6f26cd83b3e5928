//! What the conversation shows of what a model and its tools say.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, text_answer};
use e2e::gate::Gate;
use e2e::runner::Options;
use serde_json::json;

use crate::page::Scene;
use crate::play::play;

#[test]
fn markup_is_text_whoever_writes_it() {
    play("markup_is_text_whoever_writes_it", async |stage| {
        let image = "<img src=x onerror=\"window.hurt = 1\">";
        let script = "<script>window.hurt = 1</script>";
        let model = FakeAnthropic::steps([
            answer()
                .text(&format!("{image}\n\nHere {image} and {script}.\n\n{script}\n\n- [a link](javascript:window.hurt=1)\n\n`{image}`"))
                .tool("bash", json!({"command": format!("cat <<'END'\n{image}{script}\nEND")})),
            text_answer(&format!("| {image} |\n|---|\n| {script} |\n\n```html\n{image}\n```\n")),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("What is {image}?")).await;
        page.shows("html").await;
        page.idle().await;
        // One's own words; four in the answer's two parts, the command and its output, and two more at the
        // end.
        for (what, times) in [(image, 8), (script, 5)] {
            assert_eq!(page.count(what).await, times, "{what} in {:#?}", page.rows().await);
        }
        let made = "return [...document.querySelectorAll('#root img, main img, main script, header img, nav img, [href^=javascript]')]
            .map(one => one.outerHTML)";
        assert_eq!(page.tab.script(made, &[]).await, json!([]));
        page.reload().await;
        page.shows("html").await;
        assert_eq!(page.tab.script(made, &[]).await, json!([]), "nor after a reload");
        assert_eq!(page.tab.script("return window.hurt ?? null", &[]).await, json!(null));
        stage.finish().await;
    });
}

#[test]
fn a_change_of_a_file_shows_what_was_changed() {
    play("a_change_of_a_file_shows_what_was_changed", async |stage| {
        let edit = json!({"path": "poem.txt", "old_text": "two\n", "new_text": "second\nand a half\n"});
        let model = FakeAnthropic::steps([
            answer().tool("read_file", json!({"path": "poem.txt"})),
            answer().tool("edit_file", edit),
            text_answer("It is changed."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        scene.write("poem.txt", "one\ntwo\nthree\n");
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message("Change the poem").await;
        page.shows("It is changed.").await;
        page.idle().await;
        assert_eq!(scene.read("poem.txt").as_deref(), Some("one\nsecond\nand a half\nthree\n"));
        let lines = "return [...document.querySelectorAll('.tool .diff .line')].map(line => [line.dataset.kind, line.textContent])";
        let expected = json!([
            ["place", "@@ -1,3 +1,4 @@\n"],
            ["same", " one\n"],
            ["removed", "-two\n"],
            ["added", "+second\n"],
            ["added", "+and a half\n"],
            ["same", " three\n"],
        ]);
        assert_eq!(page.tab.script(lines, &[]).await, expected);
        assert_eq!(page.count("+2 −1").await, 1, "{:?}", page.rows().await);
        stage.finish().await;
    });
}

#[test]
fn who_reads_further_up_is_left_there_and_told_of_news() {
    play("who_reads_further_up_is_left_there_and_told_of_news", async |stage| {
        let (more, last) = (Gate::new(), Gate::new());
        let long = "A line.\n\n".repeat(80);
        let model = FakeAnthropic::steps([answer()
            .text(&format!("{long}The middle."))
            .hold(&more)
            .text(&format!("\n\n{long}The news."))
            .hold(&last)
            .text(&format!("\n\n{long}The end."))])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        let at_end = "const log = document.querySelector('.log');
            return log.scrollTop > 0 && log.scrollHeight - log.scrollTop - log.clientHeight < 40 && !document.querySelector('.below')";
        page.send_message("Tell me much").await;
        page.shows("The middle.").await;
        page.until("the end is in view", at_end).await;
        page.tab.script("document.querySelector('.log').scrollTop = 0", &[]).await;
        page.tab.find(".below button").await;
        more.open();
        page.shows("The news.").await;
        page.until("one is left where one reads", "return document.querySelector('.log').scrollTop === 0")
            .await;
        page.press("New below ↓").await;
        page.until("the end is in view again", at_end).await;
        last.open();
        page.shows("The end.").await;
        page.idle().await;
        page.until("the end stays in view", at_end).await;
        stage.finish().await;
    });
}

/// The events of a block of text that come as they are given.
fn deltas(
    answer: e2e::fake_anthropic::Answer,
    deltas: impl Iterator<Item = String>,
) -> e2e::fake_anthropic::Answer {
    let begin =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let mut answer = answer.event("content_block_start", begin);
    for text in deltas {
        let delta =
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
        answer = answer.event("content_block_delta", delta);
    }
    answer.event("content_block_stop", json!({"type": "content_block_stop", "index": 0}))
}

#[test]
fn long_answers_are_drawn_as_they_were_written_and_do_not_hold_the_page() {
    play("long_answers_are_drawn_as_they_were_written_and_do_not_hold_the_page", async |stage| {
        let paragraph = format!("{}\n\n", "Words that fill a line. ".repeat(8));
        let huge = paragraph.repeat(5_000_000 / paragraph.len()) + "The huge end.";
        let line = "let some = code_that_fills(a, line);\n";
        let code = std::iter::once("```rust\n".to_owned())
            .chain((0..6_000).map(|_| line.to_owned()))
            .chain(["```\n\nThe end of code.".to_owned()]);
        let list = (1..=2_000)
            .map(|n| format!("{n}. item with some words\n"))
            .chain(["\nThe end of items.".to_owned()]);
        let model = FakeAnthropic::steps([
            text_answer("Takes ~5 min to ~10 min. Costs (~$2.75)"),
            deltas(answer(), code),
            deltas(answer(), list),
            deltas(answer(), std::iter::once(huge)),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        // How long a frame takes is the machine's affair: told, and not judged. That there are many is the
        // page's.
        let watch = "window.tasks = []; new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(one => one.duration)))
            .observe({entryTypes: ['longtask']});
            window.drawn = 0; const count = () => { window.drawn += 1; requestAnimationFrame(count); }; count();";
        page.tab.script(watch, &[]).await;
        page.send_message("How long?").await;
        page.shows("Takes ~5 min to ~10 min. Costs (~$2.75)").await;
        page.idle().await;
        let mut longest = Vec::new();
        for (what, end, frames) in [
            ("code", "The end of code.", 10),
            ("items", "The end of items.", 10),
            ("much", "The huge end.", 40),
        ] {
            page.tab.script("window.tasks.length = 0; window.drawn = 0", &[]).await;
            let began = std::time::Instant::now();
            page.send_message(&format!("Write {what}")).await;
            let is_over = "return document.querySelector('#conversation .prose:last-child > :last-child')?.textContent.includes(arguments[0])";
            // Five million letters take their time; asking often would take it, too.
            for _ in 0..1_000 {
                if page.tab.script(is_over, &[end.into()]).await == true {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
            assert_eq!(
                page.tab.script(is_over, &[end.into()]).await,
                true,
                "{end:?} never came: {longest:?}"
            );
            page.idle().await;
            let drawn = page.tab.script("return window.drawn", &[]).await;
            assert!(drawn.as_u64().is_some_and(|drawn| drawn >= frames), "{what}: drawn in {drawn} frames");
            let tasks = page.tab.script("return window.tasks", &[]).await;
            let tasks: Vec<f64> = serde_json::from_value(tasks).expect("they are times");
            let most = tasks.iter().copied().fold(0.0, f64::max);
            longest.push((what, began.elapsed().as_secs_f64(), tasks.iter().sum::<f64>(), most));
        }
        let _told = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("what, seconds, ms in long tasks, the longest: {longest:.1?}\n"),
        );
        let whole = "const pre = document.querySelector('pre'); const items = document.querySelectorAll('#conversation .prose ol > li');
            return [pre.innerText.trim().split('\\n').length, items.length, items[1999].parentElement.start + [...items[1999].parentElement.children].indexOf(items[1999])]";
        assert_eq!(page.tab.script(whole, &[]).await, json!([6_000, 2_000, 2_000]));
        stage.finish().await;
    });
}

#[test]
fn what_misleads_in_an_output_is_drawn_as_escapes() {
    play("what_misleads_in_an_output_is_drawn_as_escapes", async |stage| {
        let line = |name: &str| json!({"command": format!("printf '{name} \\342\\200\\256desrever\\342\\200\\254 a\\342\\200\\213b \\342\\201\\246c\\342\\201\\251\\n'")});
        let model = FakeAnthropic::by(move |request| match request.n {
            1 => answer().tool("bash", line("first")).tool("background_run", line("second")),
            _ => text_answer("It printed."),
        })
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message("Print").await;
        page.shows("It printed.").await;
        page.tasks("good", 1).await;
        page.over().await;
        let seen = r"\u{202e}desrever\u{202c} a\u{200b}b \u{2066}c\u{2069}";
        page.shows(&format!("first {seen}")).await;
        let holds = |selector: &str| {
            format!(
                "return [...document.querySelectorAll('{selector}')].some(one => one.innerText.includes(arguments[0]))"
            )
        };
        let second = format!("second {seen}");
        page.tab.until("the card's last line", &holds(".task .last"), &[second.as_str().into()]).await;
        page.tab.click(".task .open").await;
        page.tab.until("its output", &holds(".task .screen .line"), &[second.as_str().into()]).await;
        let hidden = "return [...document.body.textContent].filter(sign => /[\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff]/.test(sign)).length
            + [...document.querySelectorAll('[title], [aria-label]')].filter(one => /[\\u200b\\u202e\\u2066]/.test(one.title + one.ariaLabel)).length";
        assert_eq!(page.tab.script(hidden, &[]).await, json!(0));
        stage.finish().await;
    });
}

#[test]
fn what_is_selected_in_a_growing_answer_stays_selected() {
    play("what_is_selected_in_a_growing_answer_stays_selected", async |stage| {
        let [text, fence, code] = [Gate::new(), Gate::new(), Gate::new()];
        let model = FakeAnthropic::steps([answer()
            .text("One *two* three.")
            .hold(&text)
            .text(" Four **five**.")
            .hold(&fence)
            .text("\n\n```rust\nlet one = 1;\n")
            .hold(&code)
            .text("let two = 2;\n```\n\nThe end.")])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.send_message("Write").await;
        let select = "const [selector, word] = arguments;
            const walk = document.createTreeWalker(document.querySelector(selector), NodeFilter.SHOW_TEXT);
            for (let node = walk.nextNode(); node; node = walk.nextNode()) {
                const at = node.data.indexOf(word);
                if (at >= 0) { getSelection().setBaseAndExtent(node, at, node, at + word.length); return true; }
            }
            return false;";
        let selected = async |word: &str| {
            assert_eq!(page.tab.script("return getSelection().toString()", &[]).await, word);
        };
        page.shows("One two three.").await;
        for word in ["two", "three"] {
            page.tab.until("it is there", select, &["#conversation .prose".into(), word.into()]).await;
            selected(word).await;
        }
        text.open();
        page.shows("Four five.").await;
        selected("three").await;
        fence.open();
        page.shows("let one = 1;").await;
        page.tab.until("it is there", select, &["#conversation .prose pre".into(), "one".into()]).await;
        code.open();
        page.until(
            "the code goes on",
            "return document.querySelector('.prose pre')?.innerText.includes('let two')",
        )
        .await;
        page.shows("The end.").await;
        page.idle().await;
        assert_eq!(page.count("One two three. Four five.").await, 1, "{:?}", page.rows().await);
        stage.finish().await;
    });
}
