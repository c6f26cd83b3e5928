//! Texts out of a grammar, and whatever comes: ours gives what the reference gives, never panics and loses nothing.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{Block, Inline, chars, parse};
use super::reference;

/// What texts are made of that no grammar has thought of.
const ATOMS: [&str; 5] = [
    "- ¦* ¦+ ¦1. ¦2. ¦3) ¦-¦1.¦> ¦>¦ ¦  ¦    ¦a¦b c¦é¦—¦“¦。¦\n¦\n¦\n¦\n\n¦  \n¦\\\n¦# ¦## x¦#",
    "---¦***¦===¦```¦~~~¦```rs¦| a | b |¦|---|:-:|¦|¦\\|¦[x] ¦[ ] ¦*¦**¦_¦__¦***¦~~¦`¦``¦\\¦[a]",
    "[a](https://x.y 'z')¦[a]: <https://q.r> (t)¦[b]:¦[¦]¦![¦](¦(¦)¦[]¦ \"t\"¦'¦<div>¦</div>",
    "</b>¦<b c='¦'>¦<¦<!--¦-->¦<pre>¦</pre>¦<?¦<https://q.r>¦<m@x.org>¦https://x.y/z¦&lt;¦&#65;",
    "&#x1F600;¦&zz;¦\"¦.¦!",
];

/// Words with and without marks.
const WORDS: [&str; 3] = [
    "a¦word¦né¦x1¦3.5¦snake_case¦a*b¦“q”¦f(x)¦**¦c:\\d¦&amp;¦&copy¦&#35;¦\\*¦\\_x¦!¦。",
    "https://x.y/a_b_c?d=e.¦(http://x.y)¦<br>¦<b class=\"c\">¦</b>¦<https://x.y/*z*>¦a|b¦1.¦-",
    "$x$¦~5",
];

/// What stands between the bars.
fn parts(of: &[&'static str]) -> Vec<&'static str> {
    of.iter().flat_map(|line| line.split('¦')).collect()
}

fn word() -> impl Strategy<Value = String> {
    select(parts(&WORDS)).prop_map(str::to_owned)
}

/// Spans within a line.
fn spans() -> impl Strategy<Value = String> {
    word().prop_recursive(4, 24, 5, |inner| {
        let wrap =
            |open: &'static str, close: &'static str| move |text: String| format!("{open}{text}{close}");
        prop_oneof![
            4 => vec(inner.clone(), 1..5).prop_map(|parts| parts.join(" ")),
            1 => vec(inner.clone(), 2..4).prop_map(|parts| parts.concat()),
            2 => inner.clone().prop_map(wrap("*", "*")),
            2 => inner.clone().prop_map(wrap("**", "**")),
            1 => inner.clone().prop_map(wrap("_", "_")),
            1 => inner.clone().prop_map(wrap("__", "__")),
            1 => inner.clone().prop_map(wrap("~~", "~~")),
            1 => inner.clone().prop_map(wrap("`", "`")),
            1 => inner.clone().prop_map(wrap("`` ", " ``")),
            1 => inner.clone().prop_map(wrap("[", "](https://x.y/(z) \"t\")")),
            1 => inner.clone().prop_map(wrap("[", "](<http://x.y/a b>)")),
            1 => inner.clone().prop_map(wrap("[", "](/elsewhere)")),
            1 => inner.clone().prop_map(wrap("[", "][r]")),
            1 => inner.prop_map(wrap("![", "](https://x.y/i.png 'a b')")),
            1 => Just("[r]".to_owned()),
            1 => Just("[ R ][]".to_owned()),
        ]
    })
}

/// Blocks, each of which ends with a line's end.
fn block() -> impl Strategy<Value = String> {
    let lines = vec(spans(), 1..4);
    let code = "[ a-z{}`~#>*|\\-]{0,12}(\n[ a-z{}]{0,12}){0,3}";
    let leaf = prop_oneof![
        6 => (lines, select(vec!["\n", "  \n", "\\\n", "\n  "])).prop_map(|(lines, end)| lines.join(end) + "\n"),
        2 => (1..7_usize, spans(), select(vec!["", " #", " ##", "#"])).prop_map(|(level, text, end)| format!("{} {text}{end}\n", "#".repeat(level))),
        1 => (spans(), select(vec!["===", "---", "-"])).prop_map(|(text, line)| format!("{text}\n{line}\n")),
        1 => select(vec!["---\n", "* * *\n", "___\n", " **  * ** ***\n"]).prop_map(str::to_owned),
        2 => (select(vec!["```", "~~~", "````"]), select(vec!["", "rs", " sh x"]), code, any::<bool>()).prop_map(|(fence, info, code, closed)| {
            format!("{fence}{info}\n{code}\n{}", if closed { format!("{fence}\n") } else { String::new() })
        }),
        1 => "( {4,6}[a-z*`]{1,5}\n){1,3}",
        1 => Just("<div align=\"center\">\n  *a*\n</div>\n".to_owned()),
        1 => Just("<!-- a\n\nb -->\n".to_owned()),
        1 => Just("[r]: https://x.y/r 'a title'\n[s]:\n   </s>\n".to_owned()),
        2 => (vec(spans(), 3), vec(vec(spans(), 1..5), 0..3), select(vec!["|---|:-:|--:|", "|:--|---|-|", "---|---|---"])).prop_map(|(head, rows, line)| {
            let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
            format!("{}{line}\n{}", row(&head), rows.iter().map(|cells| row(cells)).collect::<String>())
        }),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let inset = |text: &str, first: &str, rest: &str| {
            let mut out = String::new();
            for (at, line) in text.lines().enumerate() {
                let mark = if at == 0 { first } else { rest };
                out += if line.is_empty() { mark.trim_end() } else { mark };
                out += line;
                out.push('\n');
            }
            out
        };
        let items = vec((vec(inner.clone(), 1..3), select(vec!["", "\n"])), 1..4);
        prop_oneof![
            2 => (vec(inner, 1..3), select(vec!["> ", ">"])).prop_map(move |(blocks, mark)| inset(&blocks.join(if mark == ">" { "" } else { "\n" }), mark, mark)),
            5 => (items, select(vec!["- ", "* ", "1. ", "2) ", "-   ", "10. ", "- [x] ", "- [ ] "]), select(vec!["", "\n"])).prop_map(move |(items, mark, between)| {
                let indent = if mark.contains('[') { "  ".to_owned() } else { " ".repeat(mark.len()) };
                let items = items.iter().map(|(blocks, gap)| inset(&blocks.join(gap), mark, &indent));
                items.collect::<Vec<_>>().join(between)
            }),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    vec((block(), select(vec!["\n", "\n", "\n\n", ""])), 1..6)
        .prop_map(|blocks| blocks.into_iter().map(|(block, gap)| block + gap).collect())
}

fn cut(text: &str, mut at: usize) -> (&str, &str) {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text.split_at(at)
}

fn mixed() -> impl Strategy<Value = String> {
    vec(select(parts(&ATOMS)), 1..24).prop_map(|atoms| atoms.concat())
}

/// Two texts cut and put together anywhere.
fn mixture() -> impl Strategy<Value = String> {
    prop_oneof![
        mixed(),
        (
            prop_oneof![document(), mixed()],
            prop_oneof![document(), mixed()],
            any::<prop::sample::Index>(),
            any::<prop::sample::Index>()
        )
            .prop_map(|(first, second, left, right)| {
                let left = left.index(first.len() + 1);
                let right = right.index(second.len() + 1);
                cut(&first, left).0.to_owned() + cut(&second, right).1
            }),
    ]
    .prop_map(|text| text + "\n")
}

/// Texts of which the reference makes something else, on purpose: the module's documentation says why.
fn differs_on_purpose(text: &str) -> bool {
    let lines = || text.lines();
    let is_open =
        |line: &str| line.rfind('<') > line.rfind('>') || line.contains("<!") || line.contains("<?");
    let columns = ['-', '|', ':', ' '];
    let bare = || text.replace("~~~", "").replace("~~", "");
    let has_table = lines()
        .any(|line| line.contains("--") && line.contains('|') || line.contains("|-") || line.contains("-|"));
    // A backslash does not end a name, a run of tildes or the text of a link for the reference.
    text.contains("]\\[")
        || text.contains("\\~")
        || text.contains("\\\n]")
        // Single tildes.
        || bare().contains('~')
        // A definition that goes on lazily.
        || text.contains("]:\n")
        // The marks of quotations within a tag of several lines.
        || (lines().any(is_open) && lines().any(|line| line.trim_start().starts_with('>')))
        // A table's head or row that is indented like code, its head after definitions, with escaped pipes or with a backslash at its
        // end, its second line with spaces between dashes, or all that in a ticked item.
        || (has_table
            && (text.contains("    ")
                || text.contains("]:")
                || text.contains("\\|")
                || text.contains("\\\n")
                || lines().any(|line| line.contains("- ") && line.trim_matches(columns).is_empty())
                || text.contains("[x]")
                || text.contains("[ ]")))
}

fn settle(blocks: &mut [Block]) {
    for block in blocks {
        match block {
            Block::Paragraph(inlines) | Block::Plain(inlines) | Block::Heading { inlines, .. } => {
                settle_spans(inlines);
            }
            Block::Quote(inner) => settle(inner),
            Block::List { items, .. } => items.iter_mut().for_each(|item| settle(&mut item.blocks)),
            Block::Table { head, rows, .. } => {
                for cell in rows.iter_mut().flatten().chain(head) {
                    settle_spans(cell);
                }
            }
            Block::Code { .. } | Block::Rule => {}
        }
    }
}

/// The reference keeps the white space at the beginning of a paragraph's lines in code and in HTML, and text in two pieces after
/// `https://` alone.
fn settle_spans(inlines: &mut Vec<Inline>) {
    for inline in std::mem::take(inlines) {
        match (inlines.last_mut(), inline) {
            (Some(Inline::Text(before)), Inline::Text(text)) => *before += &text,
            (_, inline) => inlines.push(inline),
        }
    }
    for inline in inlines {
        match inline {
            Inline::Code(code) => *code = code.split_whitespace().collect::<Vec<_>>().join(" "),
            Inline::Text(text) => {
                while text.contains("\n ") {
                    *text = text.replace("\n ", "\n");
                }
            }
            Inline::Emphasis(inner)
            | Inline::Strong(inner)
            | Inline::Struck(inner)
            | Inline::Link { inlines: inner, .. } => {
                settle_spans(inner);
            }
            Inline::Break => {}
        }
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let (mut ours, mut theirs) = (parse(text), reference::parse(text));
    if ours != theirs {
        settle(&mut ours);
        settle(&mut theirs);
    }
    prop_assert_eq!(ours, theirs, "{:?}", text);
    Ok(())
}

/// The letters in capitals, in order.
fn capitals(text: &str) -> String {
    text.chars().filter(char::is_ascii_uppercase).collect()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_global_rejects: cases * 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn what_the_grammar_writes_is_read_as_the_reference_reads_it(text in document()) {
        prop_assume!(!differs_on_purpose(&text));
        check(&text)?;
    }
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn what_is_cut_and_mixed_is_read_as_the_reference_reads_it(text in mixture()) {
        prop_assume!(!differs_on_purpose(&text));
        check(&text)?;
    }

    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), mixture(), document(), "[ \t\r\n`*_~<>&#\\\\\\[\\]()!|:.+=\"'a1-]{0,60}"]) {
        parse(&text);
    }

    /// No capital is markup: there are no addresses, infos or cells in excess that could hold one.
    #[test]
    fn no_text_is_lost(text in "([A-Z]{1,3}|[ \n*_~`<>&#\\\\\\[\\]!+=.1-]|\n> |\n- |\n1. |  \n|\\*\\*|\n    ){0,40}") {
        prop_assume!(!text.contains("```") && !text.contains("~~~"));
        let shown = capitals(&shown(&parse(&text)));
        prop_assert_eq!(shown, capitals(&text));
    }
}

/// All that is shown of blocks, in order.
fn shown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Paragraph(inlines) | Block::Plain(inlines) | Block::Heading { inlines, .. } => {
                out += &shown_spans(inlines);
            }
            Block::Quote(inner) => out += &shown(inner),
            Block::List { items, .. } => items.iter().for_each(|item| out += &shown(&item.blocks)),
            Block::Table { head, rows, .. } => {
                for cell in head.iter().chain(rows.iter().flatten()) {
                    out += &shown_spans(cell);
                }
            }
            Block::Code { language, text } => out.extend([&**language, text]),
            Block::Rule => {}
        }
    }
    out
}

fn shown_spans(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(text) | Inline::Code(text) => out += text,
            Inline::Emphasis(inner)
            | Inline::Strong(inner)
            | Inline::Struck(inner)
            | Inline::Link { inlines: inner, .. } => {
                out += &shown_spans(inner);
            }
            Inline::Break => {}
        }
    }
    out
}

/// In the scripts that the table of punctuation covers, what is punctuation for the reference is so for us; nowhere is a letter.
#[test]
fn punctuation_is_what_the_reference_takes_for_it() {
    let mut marks = 0;
    for c in ('\u{80}'..='\u{ffff}').chain('\u{1f000}'..='\u{1faff}').filter(|c| !c.is_whitespace()) {
        let ours = chars::is_punctuation(c);
        let is_covered = matches!(u32::from(c), 0x80..0x250 | 0x2010..0x2070 | 0x20a0..0x20d0 | 0x2190..0x2460 | 0x2500..0x2c00
            | 0x2e00..0x2e80 | 0x3000..0x3036 | 0xff00..0xffa0 | 0x1f000..0x1fb00);
        // Between a letter and punctuation, a star neither opens nor closes.
        let source = format!("a*{c}b*");
        let theirs = reference::parse(&source) == [Block::Paragraph(vec![Inline::Text(source)])];
        assert!(theirs || !(ours && c.is_alphanumeric()), "{:x}", u32::from(c));
        assert!(!is_covered || ours || !theirs, "{:x}", u32::from(c));
        marks += usize::from(ours && theirs);
    }
    assert!(marks > 3_000, "{marks}");
}
