//! The rules of `CommonMark` and of GitHub's extensions, one example each.

use super::super::{Alignment, Block, Inline, parse};

/// Blocks as short HTML.
fn drawn(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        out += &match block {
            Block::Paragraph(inlines) => format!("<p>{}</p>", spans(inlines)),
            Block::Plain(inlines) => spans(inlines),
            Block::Heading { level, inlines } => format!("<h{level}>{}</h{level}>", spans(inlines)),
            Block::Code { language, text } if language.is_empty() => format!("<pre>{text}</pre>"),
            Block::Code { language, text } => format!("<pre {language}>{text}</pre>"),
            Block::Quote(inner) => format!("<q>{}</q>", drawn(inner)),
            Block::List { start, items } => {
                let (open, close) = match start {
                    None => ("<ul>".to_owned(), "</ul>"),
                    Some(1) => ("<ol>".to_owned(), "</ol>"),
                    Some(start) => (format!("<ol {start}>"), "</ol>"),
                };
                let items = items.iter().map(|item| {
                    let tick = item.ticked.map_or("", |ticked| if ticked { "[x]" } else { "[ ]" });
                    format!("<li>{tick}{}</li>", drawn(&item.blocks))
                });
                open + &items.collect::<String>() + close
            }
            Block::Table { alignments, head, rows } => {
                let columns: String = alignments
                    .iter()
                    .map(|alignment| match alignment {
                        Alignment::None => '-',
                        Alignment::Left => '<',
                        Alignment::Center => '=',
                        Alignment::Right => '>',
                    })
                    .collect();
                let row = |cells: &Vec<Vec<Inline>>| {
                    cells.iter().map(|cell| spans(cell)).collect::<Vec<_>>().join("|")
                };
                let rows: Vec<_> = std::iter::once(head).chain(rows).map(row).collect();
                format!("<table {columns}>{}</table>", rows.join("/"))
            }
            Block::Rule => "<hr>".to_owned(),
        };
    }
    out
}

fn spans(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for inline in inlines {
        out += &match inline {
            Inline::Text(text) => text.clone(),
            Inline::Code(code) => format!("<c>{code}</c>"),
            Inline::Emphasis(inner) => format!("<e>{}</e>", spans(inner)),
            Inline::Strong(inner) => format!("<b>{}</b>", spans(inner)),
            Inline::Struck(inner) => format!("<s>{}</s>", spans(inner)),
            Inline::Link { href, inlines } => format!("<a {href}>{}</a>", spans(inlines)),
            Inline::Break => "<br>".to_owned(),
        };
    }
    out
}

fn check(examples: &[(&str, &str)]) {
    for (source, expected) in examples {
        assert_eq!(drawn(&parse(source)), *expected, "of {source:?}");
    }
}

/// A paragraph of spans each.
fn check_spans(examples: &[(&str, &str)]) {
    for (source, expected) in examples {
        assert_eq!(drawn(&parse(source)), format!("<p>{expected}</p>"), "of {source:?}");
    }
}

#[test]
fn tabs() {
    check(&[
        ("\tx\ty\n", "<pre>x\ty\n</pre>"),
        ("  \tx\n", "<pre>x\n</pre>"),
        ("- one\n\n\ttwo\n", "<ul><li><p>one</p><p>two</p></li></ul>"),
        ("- one\n\n\t\ttwo\n", "<ul><li><p>one</p><pre>  two\n</pre></li></ul>"),
        (">\t\tx\n", "<q><pre>  x\n</pre></q>"),
        ("-\t\tx\n", "<ul><li><pre>  x\n</pre></li></ul>"),
        ("    a\n\tb\n", "<pre>a\nb\n</pre>"),
        ("- a\n\t- b\n", "<ul><li>a<ul><li>b</li></ul></li></ul>"),
        ("#\tx\n", "<h1>x</h1>"),
        ("*\t*\t*\t\n", "<hr>"),
    ]);
}

#[test]
fn blocks_come_before_spans() {
    check(&[("- `a\n- b`\n", "<ul><li>`a</li><li>b`</li></ul>"), ("*a\n\nb*", "<p>*a</p><p>b*</p>")]);
}

#[test]
fn rules() {
    check(&[
        ("***\n---\n___\n", "<hr><hr><hr>"),
        ("+++\n", "<p>+++</p>"),
        ("--\n", "<p>--</p>"),
        ("   - -  -\t-\n", "<hr>"),
        ("    ***\n", "<pre>***\n</pre>"),
        ("_ _ a\n", "<p>_ _ a</p>"),
        ("*-*\n", "<p><e>-</e></p>"),
        ("a\n***\nb\n", "<p>a</p><hr><p>b</p>"),
        ("* a\n* * *\n* b\n", "<ul><li>a</li></ul><hr><ul><li>b</li></ul>"),
        ("- a\n- * * *\n", "<ul><li>a</li><li><hr></li></ul>"),
    ]);
}

#[test]
fn headings() {
    check(&[
        ("# a\n###### b\n####### c\n", "<h1>a</h1><h6>b</h6><p>####### c</p>"),
        ("#5 and #tag\n", "<p>#5 and #tag</p>"),
        ("\\## a\n", "<p>## a</p>"),
        ("# *a* \\*b\\*\n", "<h1><e>a</e> *b*</h1>"),
        ("   ##   a   ##   \n", "<h2>a</h2>"),
        ("# a#\n## b # c\n### d \\###\n# e \\#\n", "<h1>a#</h1><h2>b # c</h2><h3>d ###</h3><h1>e #</h1>"),
        ("a\n    # b\n", "<p>a\n# b</p>"),
        ("a\n# b\nc\n", "<p>a</p><h1>b</h1><p>c</p>"),
        ("## \n#\n### ###\n", "<h2></h2><h1></h1><h3></h3>"),
        ("a *b\nc*\n===\nd\n-\n", "<h1>a <e>b\nc</e></h1><h2>d</h2>"),
        ("a\n   ----   \n", "<h2>a</h2>"),
        ("a\n    ---\n", "<p>a\n---</p>"),
        ("a\n= =\n\nb\n--- -\n", "<p>a\n= =</p><p>b</p><hr>"),
        ("`a\n---\n`\n", "<h2>`a</h2><p>`</p>"),
        ("> a\n---\n", "<q><p>a</p></q><hr>"),
        ("> a\nb\n===\n", "<q><p>a\nb\n===</p></q>"),
        ("- a\n---\n", "<ul><li>a</li></ul><hr>"),
        ("- a\n  ---\n", "<ul><li><h2>a</h2></li></ul>"),
        ("\n===\n", "<p>===</p>"),
        ("    a\n---\n", "<pre>a\n</pre><hr>"),
        ("a\\\n---\n", "<h2>a\\</h2>"),
    ]);
}

#[test]
fn code_blocks() {
    check(&[
        ("    a\n      b\n", "<pre>a\n  b\n</pre>"),
        ("    a\n\n  \n    b\n\n\n", "<pre>a\n\n\nb\n</pre>"),
        ("    a\n      \n    b\n", "<pre>a\n  \nb\n</pre>"),
        ("a\n    b\n", "<p>a\nb</p>"),
        ("    a\nb\n", "<pre>a\n</pre><p>b</p>"),
        ("1.  a\n\n    - b\n", "<ol><li><p>a</p><ul><li>b</li></ul></li></ol>"),
        ("    <b>*a*\n", "<pre><b>*a*\n</pre>"),
        ("```\n<\n >\n```\n", "<pre><\n >\n</pre>"),
        ("``\na\n``\n", "<p><c>a</c></p>"),
        ("```\na\n~~~\n```\n", "<pre>a\n~~~\n</pre>"),
        ("````\na\n```\n``````\n", "<pre>a\n```\n</pre>"),
        ("```", "<pre></pre>"),
        ("```\n\n```\na", "<pre>\n</pre><p>a</p>"),
        ("> ```\n> a\n\nb\n", "<q><pre>a\n</pre></q><p>b</p>"),
        ("  ```\n  a\n    b\n c\n  ```\n", "<pre>a\n  b\nc\n</pre>"),
        ("    ```\n    a\n", "<pre>```\na\n</pre>"),
        ("```\na\n    ```\n", "<pre>a\n    ```\n</pre>"),
        ("```\na\n  ```  \nb\n", "<pre>a\n</pre><p>b</p>"),
        ("``` ```\na\n", "<p><c> </c>\na</p>"),
        ("a\n```\nb\n```\nc\n", "<p>a</p><pre>b\n</pre><p>c</p>"),
        ("~~~ rust  x=1 ~~~ ```\nfn\n~~~~\n", "<pre rust>fn\n</pre>"),
        ("``` a`b\n", "<p>``` a`b</p>"),
        ("```r\\_s&amp;\n", "<pre r_s&></pre>"),
        ("```\n``` a\n```\n", "<pre>``` a\n</pre>"),
        ("- ```\n  a\n\n  b\n  ```\n- c\n", "<ul><li><pre>a\n\nb\n</pre></li><li>c</li></ul>"),
        ("```rs\nlet a", "<pre rs>let a</pre>"),
        ("```\r\na\r\n```\r\nb\r\rc", "<pre>a\n</pre><p>b</p><p>c</p>"),
    ]);
}

#[test]
fn html_is_shown_as_it_is() {
    check(&[
        ("<div>\n*a*\n\n*b*\n\n</div>\n", "<p><div>\n*a*\n</p><p><e>b</e></p><p></div>\n</p>"),
        ("a\n<div>\n", "<p>a</p><p><div>\n</p>"),
        ("<b>\n*a*\n", "<p><b>\n*a*\n</p>"),
        ("<b>*a*</b>\n", "<p><b><e>a</e></b></p>"),
        ("a\n<b>\n", "<p>a\n<b></p>"),
        ("<script>\na\n\n*b*\n</script>\nc\n", "<p><script>\na\n\n*b*\n</script>\n</p><p>c</p>"),
        ("<!-- a\n\n*b* --> *c*\n*d*\n", "<p><!-- a\n\n*b* --> *c*\n</p><p><e>d</e></p>"),
        ("<pre>*a*\n\n*b*", "<p><pre>*a*\n\n*b*</p>"),
        ("  <div>\n\n    <div>\n", "<p>  <div>\n</p><pre><div>\n</pre>"),
        ("> <div>\n> a\n\nb\n", "<q><p><div>\na\n</p></q><p>b</p>"),
        ("- <div>\n- a\n", "<ul><li><p><div>\n</p></li><li>a</li></ul>"),
    ]);
    check_spans(&[
        ("a <b c='*d*' e=\"`\" f=g h> *i*", "a <b c='*d*' e=\"`\" f=g h> <e>i</e>"),
        ("a </b > *c*", "a </b > <e>c</e>"),
        ("a <1> <b c=> <b *c*>", "a <1> <b c=> <b <e>c</e>>"),
        (
            "a <!-- *b* --> <?*c*?> <!D *e*> <![CDATA[*f*]]>",
            "a <!-- *b* --> <?*c*?> <!D *e*> <![CDATA[*f*]]>",
        ),
        ("a <!--> *b* -->", "a <!--> <e>b</e> -->"),
        ("a <b c=\"\\\"\"> *d*", "a <b c=\"\"\"> <e>d</e>"),
        ("a < b && c > d", "a < b && c > d"),
    ]);
}

#[test]
fn definitions() {
    check(&[
        ("[a]: http://b 'c'\n\n[a]\n", "<p><a http://b>a</a></p>"),
        ("[a]\n\n[a]: http://b\n", "<p><a http://b>a</a></p>"),
        ("   [a]: \n      http://b  \n           'the\nc'  \n\n[a]\n", "<p><a http://b>a</a></p>"),
        ("[a]: <http://b c>\n[a]: http://d\n[A]", "<p><a http://b c>A</a></p>"),
        ("[ a\n  b ]: http://c\n\n[A B] [a  b][]\n", "<p><a http://c>A B</a> <a http://c>a  b</a></p>"),
        ("[ÄÖ]: http://b\n\n[äö]\n", "<p><a http://b>äö</a></p>"),
        ("[a]:\n\n[a]\n", "<p>[a]:</p><p>[a]</p>"),
        ("[a]: http://b 'c' d\n\n[a]\n", "<p>[a]: <a http://b>http://b</a> 'c' d</p><p>[a]</p>"),
        ("[a]: http://b\n'c' d\n\n[a]\n", "<p>'c' d</p><p><a http://b>a</a></p>"),
        ("[a]: <http://b>(c)\n\n[a]\n", "<p>[a]: <a http://b>http://b</a>(c)</p><p>[a]</p>"),
        ("a\n[b]: http://c\n\n[b]\n", "<p>a\n[b]: <a http://c>http://c</a></p><p>[b]</p>"),
        ("    [a]: http://b\n\n[a]\n", "<pre>[a]: http://b\n</pre><p>[a]</p>"),
        ("# [a]\n[a]: http://b\n> c\n", "<h1><a http://b>a</a></h1><q><p>c</p></q>"),
        ("[a]: http://b\nc\n===\n[a]\n", "<h1>c</h1><p><a http://b>a</a></p>"),
        ("[a]: http://b\n===\n[a]\n", "<p>===\n<a http://b>a</a></p>"),
        ("[a]: http://b\n[c]: http://d\n  'e'\n[f]: <>\n\n[a][c][f]", "<p><a http://d>a</a>f</p>"),
        ("[a]\n\n> [a]: http://b\n", "<p><a http://b>a</a></p><q></q>"),
        ("[a\\]b]: http://c\n\n[a\\]b] [a]\n", "<p><a http://c>a]b</a> [a]</p>"),
        ("[ ]: http://b\n\n[ ]\n", "<p>[ ]: <a http://b>http://b</a></p><p>[ ]</p>"),
    ]);
}

#[test]
fn paragraphs_and_quotations() {
    check(&[
        ("a\n\n\nb\nc\n", "<p>a</p><p>b\nc</p>"),
        ("  a\n      b  \n  \nc", "<p>a\nb</p><p>c</p>"),
        ("> # a\n> b\n> c\n", "<q><h1>a</h1><p>b\nc</p></q>"),
        (">a\n   > b\n", "<q><p>a\nb</p></q>"),
        ("    > a\n", "<pre>> a\n</pre>"),
        ("> a\nb\n> c\n", "<q><p>a\nb\nc</p></q>"),
        ("> - a\n- b\n", "<q><ul><li>a</li></ul></q><ul><li>b</li></ul>"),
        (">     a\n    b\n", "<q><pre>a\n</pre></q><pre>b\n</pre>"),
        ("> ```\na\n", "<q><pre></pre></q><p>a</p>"),
        ("> a\n    - b\n", "<q><p>a\n- b</p></q>"),
        (">\n>  \n", "<q></q>"),
        (">\n> a\n>\n", "<q><p>a</p></q>"),
        ("> a\n\n> b\n", "<q><p>a</p></q><q><p>b</p></q>"),
        ("> a\n>\n> b\n", "<q><p>a</p><p>b</p></q>"),
        ("a\n> b\n", "<p>a</p><q><p>b</p></q>"),
        ("> a\n\nb\n", "<q><p>a</p></q><p>b</p>"),
        ("> > > a\nb\n", "<q><q><q><p>a\nb</p></q></q></q>"),
        (">>> a\n> b\n>>c\n", "<q><q><q><p>a\nb\nc</p></q></q></q>"),
        (">     a\n\n>    b\n", "<q><pre>a\n</pre></q><q><p>b</p></q>"),
    ]);
}

#[test]
fn items() {
    check(&[
        (
            "1.  a\n    b\n\n        c\n\n    > d\n",
            "<ol><li><p>a\nb</p><pre>c\n</pre><q><p>d</p></q></li></ol>",
        ),
        ("- a\n\n b\n", "<ul><li>a</li></ul><p>b</p>"),
        ("- a\n\n  b\n", "<ul><li><p>a</p><p>b</p></li></ul>"),
        (" -    a\n\n     b\n", "<ul><li>a</li></ul><pre> b\n</pre>"),
        ("> > 1.  a\n>>\n>>     b\n", "<q><q><ol><li><p>a</p><p>b</p></li></ol></q></q>"),
        ("-a\n\n2.b\n", "<p>-a</p><p>2.b</p>"),
        ("- a\n\n\n  b\n", "<ul><li><p>a</p><p>b</p></li></ul>"),
        ("123456789. a\n", "<ol 123456789><li>a</li></ol>"),
        ("1234567890. a\n\n-1. b\n", "<p>1234567890. a</p><p>-1. b</p>"),
        ("0. a\n003. b\n", "<ol 0><li>a</li><li>b</li></ol>"),
        ("- a\n\n      b\n", "<ul><li><p>a</p><pre>b\n</pre></li></ul>"),
        ("1.     a\n\n   b\n", "<ol><li><pre>a\n</pre><p>b</p></li></ol>"),
        ("1.      a\n\n   b\n", "<ol><li><pre> a\n</pre><p>b</p></li></ol>"),
        (
            "-\n  a\n-\n  ```\n  b\n  ```\n-\n      c\n",
            "<ul><li>a</li><li><pre>b\n</pre></li><li><pre>c\n</pre></li></ul>",
        ),
        ("-\n\n  a\n", "<ul><li></li></ul><p>a</p>"),
        ("- a\n-\n- b\n", "<ul><li>a</li><li></li><li>b</li></ul>"),
        ("*\n", "<ul><li></li></ul>"),
        ("a\n*\n\na\n1.\n", "<p>a\n*</p><p>a\n1.</p>"),
        ("  1. a\nb\n    c\n", "<ol><li>a\nb\nc</li></ol>"),
        ("> 1. > a\nb\n> c\n", "<q><ol><li><q><p>a\nb\nc</p></q></li></ol></q>"),
        ("- a\n  - b\n    - c\n", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li></ul>"),
        ("- a\n - b\n  - c\n   - d\n    - e\n", "<ul><li>a</li><li>b</li><li>c</li><li>d\n- e</li></ul>"),
        ("10) a\n    - b\n", "<ol 10><li>a<ul><li>b</li></ul></li></ol>"),
        ("10) a\n   - b\n", "<ol 10><li>a</li></ol><ul><li>b</li></ul>"),
        (
            "- - a\n1. - 2. b\n",
            "<ul><li><ul><li>a</li></ul></li></ul><ol><li><ul><li><ol 2><li>b</li></ol></li></ul></li></ol>",
        ),
        ("- # a\n- b\n  ---\n  c\n", "<ul><li><h1>a</h1></li><li><h2>b</h2>c</li></ul>"),
    ]);
}

#[test]
fn lists() {
    check(&[
        ("- a\n- b\n+ c\n", "<ul><li>a</li><li>b</li></ul><ul><li>c</li></ul>"),
        ("1. a\n2. b\n3) c\n", "<ol><li>a</li><li>b</li></ol><ol 3><li>c</li></ol>"),
        ("a\n- b\n", "<p>a</p><ul><li>b</li></ul>"),
        ("a\n14. b\n\nc\n1. d\n", "<p>a\n14. b</p><p>c</p><ol><li>d</li></ol>"),
        ("- a\n\n- b\n\n\n- c\n", "<ul><li><p>a</p></li><li><p>b</p></li><li><p>c</p></li></ul>"),
        ("- a\n  - b\n\n\n    c\n", "<ul><li>a<ul><li><p>b</p><p>c</p></li></ul></li></ul>"),
        ("1. a\n\n  2. b\n\n    3. c\n", "<ol><li><p>a</p></li><li><p>b</p></li></ol><pre>3. c\n</pre>"),
        ("* a\n*\n\n* c\n", "<ul><li><p>a</p></li><li></li><li><p>c</p></li></ul>"),
        ("- a\n- b\n\n  c\n- d\n", "<ul><li><p>a</p></li><li><p>b</p><p>c</p></li><li><p>d</p></li></ul>"),
        ("- a\n\n  [r]: /u\n- b\n", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("- a\n- ```\n  b\n\n\n  ```\n- c\n", "<ul><li>a</li><li><pre>b\n\n\n</pre></li><li>c</li></ul>"),
        ("- a\n  - b\n\n    c\n- d\n", "<ul><li>a<ul><li><p>b</p><p>c</p></li></ul></li><li>d</li></ul>"),
        ("* a\n  > b\n  >\n* c\n", "<ul><li>a<q><p>b</p></q></li><li>c</li></ul>"),
        ("- a\n\n  - b\n- c\n", "<ul><li><p>a</p><ul><li>b</li></ul></li><li><p>c</p></li></ul>"),
        ("- a\n  - b\n\n- c\n", "<ul><li><p>a</p><ul><li>b</li></ul></li><li><p>c</p></li></ul>"),
        ("- a\n\n<!-- -->\n\n- b\n", "<ul><li>a</li></ul><p><!-- -->\n</p><ul><li>b</li></ul>"),
        (
            "- [ ] a\n- [x] **b**\n- [X] c\n- [y] d\n- [x]e\n",
            "<ul><li>[ ]a</li><li>[x]<b>b</b></li><li>[x]c</li><li>[y] d</li><li>[x]e</li></ul>",
        ),
        ("1. [ ] a\n   - [x] b\n", "<ol><li>[ ]a<ul><li>[x]b</li></ul></li></ol>"),
        ("[x] a\n", "<p>[x] a</p>"),
    ]);
}

#[test]
fn tables_by_example() {
    check(&[
        ("a | b\n- | -\nc | d\n", "<table -->a|b/c|d</table>"),
        ("| a | b | c | d |\n|:--|:-:|--:|---|\n", "<table <=>->a|b|c|d</table>"),
        ("|a|\n|-|\n|`b \\| c`|\n|d\\|e|\n", "<table ->a/<c>b | c</c>/d|e</table>"),
        ("|a|b|\n|-|-|\n|c|\n|d|e|f|\n|| g |\n", "<table -->a|b/c|/d|e/|g</table>"),
        ("|a|b|\n|-|\n", "<p>|a|b|\n|-|</p>"),
        ("|a|\n|-|\nb\n> c\n", "<table ->a/b</table><q><p>c</p></q>"),
        ("|a|\n|-|\nb\n\nc\n", "<table ->a/b</table><p>c</p>"),
        ("x\n|a|\n|-|\n", "<p>x</p><table ->a</table>"),
        ("x\na|b\n-|-\n", "<p>x\na|b\n-|-</p>"),
        ("> |a|\n> |-|\n> |b|\n|c|\n", "<q><table ->a/b</table></q><p>|c|</p>"),
        ("- |a|\n  |-|\n  |*b*|\n", "<ul><li><table ->a/<e>b</e></table></li></ul>"),
        ("|a|\n---\n", "<h2>|a|</h2>"),
        ("|a|\n|-|\n      b\n", "<table ->a/b</table>"),
        (
            "|[a](http://b)|`c`|\n|-|-|\n|<br>|http://d|\n",
            "<table --><a http://b>a</a>|<c>c</c>/<br>|<a http://d>http://d</a></table>",
        ),
    ]);
}

#[test]
fn escapes_and_entities() {
    check_spans(&[
        (
            "\\!\\\"\\#\\$\\%\\&\\'\\(\\)\\*\\+\\,\\-\\.\\/\\:\\;\\<\\=\\>\\?\\@\\[\\\\\\]\\^\\_\\`\\{\\|\\}\\~",
            "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
        ),
        ("\\a\\ \\1\\é C:\\dir", "\\a\\ \\1\\é C:\\dir"),
        ("\\*a* \\[b](c) \\`d` \\<e> \\&amp;", "*a* [b](c) `d` <e> &amp;"),
        ("\\\\*a*", "\\<e>a</e>"),
        ("a\\\nb", "a<br>b"),
        ("`\\[` <http://a/\\*>", "<c>\\[</c> <a http://a/\\*>http://a/\\*</a>"),
        ("[a](http://b/\\) 'c\\'')", "<a http://b/)>a</a>"),
        ("&amp; &lt;&gt; &quot;&apos; &copy;&hellip;&mdash;&rarr;&euro;", "& <> \"' ©…—→€"),
        ("&#35; &#1234; &#0; &#x22; &#XcAb; &#x110000;", "# Ӓ \u{fffd} \" ಫ \u{fffd}"),
        ("&nope; &amp &; &#; &#x; &#87654321; &x#1;", "&nope; &amp &; &#; &#x; &#87654321; &x#1;"),
        ("&#42;a&#42; `&amp;`", "*a* <c>&amp;</c>"),
        ("[a](http://b?c&amp;d)", "<a http://b?c&d>a</a>"),
        ("a&nbsp;b", "a\u{a0}b"),
    ]);
}

#[test]
fn code_spans() {
    check_spans(&[
        ("`a` `` b ` c `` ` `` `", "<c>a</c> <c>b ` c</c> <c>``</c>"),
        ("`  ``  ` ` a` ` `", "<c> `` </c> <c> a</c> <c> </c>"),
        ("``\na \nb\n``", "<c>a  b</c>"),
        ("`a\\`b`", "<c>a\\</c>b`"),
        ("*a`*` [b`](c)`", "*a<c>*</c> [b<c>](c)</c>"),
        ("`<a href=\"`\">` <a href=\"`\">`", "<c><a href=\"</c>\"><c> <a href=\"</c>\">`"),
        ("```a`` `b", "```a`` `b"),
        ("\\`a` `b`", "`a<c> </c>b`"),
    ]);
}

#[test]
fn emphasis() {
    check_spans(&[
        ("*a b* a * b* a*\"b\"* *\u{a0}a*", "<e>a b</e> a * b* a*\"b\"* *\u{a0}a*"),
        ("a*b*c 5*6*78", "a<e>b</e>c 5<e>6</e>78"),
        ("_a b_ _ a b_ a_\"b\"_ a_b_ 5_6_78 п_с_", "<e>a b</e> _ a b_ a_\"b\"_ a_b_ 5_6_78 п_с_"),
        ("a_\"b\"_c", "a_\"b\"_c"),
        ("a-_(b)_", "a-<e>(b)</e>"),
        ("_a* *a *", "_a* *a *"),
        ("*(*a)", "*(*a)"),
        ("*(*a*)*", "<e>(<e>a</e>)</e>"),
        ("_foo_bar_baz_ _(a)_. _(b_)c", "<e>foo_bar_baz</e> <e>(a)</e>. <e>(b</e>)c"),
        ("**a b** ** a** a**\"b\"** a**b**c", "<b>a b</b> ** a** a**\"b\"** a<b>b</b>c"),
        ("__a b__ __ a__ __\na__ a__\"b\"__ a__b__", "<b>a b</b> __ a__ __\na__ a__\"b\"__ a__b__"),
        ("__a, __b__, c__ a-__(b)__", "<b>a, <b>b</b>, c</b> a-<b>(b)</b>"),
        ("**(a)**。**b**c", "<b>(a)</b>。<b>b</b>c"),
        ("__a__b __c__d__e__", "__a__b <b>c__d__e</b>"),
        ("*a [b](http://c)* *a\nb*", "<e>a <a http://c>b</a></e> <e>a\nb</e>"),
        (
            "_a __b__ c_ _a _b_ c_ __a_ b_ *a *b**",
            "<e>a <b>b</b> c</e> <e>a <e>b</e> c</e> <e><e>a</e> b</e> <e>a <e>b</e></e>",
        ),
        ("*a **b** c* *a**b**c* *a**b*", "<e>a <b>b</b> c</e> <e>a<b>b</b>c</e> <e>a**b</e>"),
        ("***a** b* *a **b*** *a**b***", "<e><b>a</b> b</e> <e>a <b>b</b></e> <e>a<b>b</b></e>"),
        ("a***b***c a******b*********c", "a<e><b>b</b></e>c a<b><b><b>b</b></b></b>***c"),
        ("*a **b *c* d** e*", "<e>a <b>b <e>c</e> d</b> e</e>"),
        ("** a ** **** a ****", "** a ** **** a ****"),
        ("a *** a *\\** a *_* a *****", "a *** a <e>*</e> a <e>_</e> a *****"),
        ("**a*", "*<e>a</e>"),
        ("*a**", "<e>a</e>*"),
        ("***a**", "*<b>a</b>"),
        ("****a*", "***<e>a</e>"),
        ("**a***", "<b>a</b>*"),
        ("*a****", "<e>a</e>***"),
        (
            "**a** *_a_* __a__ _*a*_ ****a**** ***a***",
            "<b>a</b> <e><e>a</e></e> <b>a</b> <e><e>a</e></e> <b><b>a</b></b> <e><b>a</b></e>",
        ),
        ("*a _b* c_ *a __b *c d__ e*", "<e>a _b</e> c_ <e>a <b>b *c d</b> e</e>"),
        ("**a **b c** *a *b c*", "**a <b>b c</b> *a <e>b c</e>"),
        ("*[a*](http://b) _a [b_](http://c)", "*<a http://b>a*</a> _a <a http://c>b_</a>"),
        ("*<b c=\"*\"> **<http://d/?e=**>", "*<b c=\"*\"> **<a http://d/?e=**>http://d/?e=**</a>"),
        ("*a `*`* _a `_`_", "<e>a <c>*</c></e> <e>a <c>_</c></e>"),
        ("~~a~~ ~b~ ~~~c~~~ e~~f~~g h~i~j", "<s>a</s> ~b~ ~~~c~~~ e<s>f</s>g h~i~j"),
        ("Takes ~5 min to ~10 min. Costs (~$2.75)", "Takes ~5 min to ~10 min. Costs (~$2.75)"),
        ("~~ a~~ b", "~~ a~~ b"),
        ("~~a~", "~~a~"),
        ("~~a~ b~~", "<s>a~ b</s>"),
        ("~~a *b~~ c* **~~d~~**", "<s>a *b</s> c* <b><s>d</s></b>"),
        ("**中文：**后 **bold:** x", "**中文：**后 <b>bold:</b> x"),
    ]);
}

#[test]
fn links() {
    check_spans(&[
        (
            "[a](http://b \"c\") [a](<http://b>) [](http://b)",
            "<a http://b>a</a> <a http://b>a</a> <a http://b></a>",
        ),
        ("[a](http://b c)", "[a](<a http://b>http://b</a> c)"),
        ("[a](<http://b\nc>)", "[a](<<a http://b>http://b</a>\nc>)"),
        ("[a](<http://b c\\>)", "[a](<<a http://b>http://b</a> c>)"),
        (
            "[a](http://b(c(d))) [a](http://b\\(\\)) [a](http://b(c)",
            "<a http://b(c(d))>a</a> <a http://b()>a</a> [a](<a http://b(c)>http://b(c)</a>",
        ),
        (
            "[a](   http://b\n  'c\nd' ) [a](http://b 'c \"d\"') [a](http://b (c))",
            "<a http://b>a</a> <a http://b>a</a> <a http://b>a</a>",
        ),
        ("[a](http://b \"c \"d\" e\")", "[a](<a http://b>http://b</a> \"c \"d\" e\")"),
        ("[a] (http://b) [a]", "[a] (<a http://b>http://b</a>) [a]"),
        (
            "[a [b [c]]](http://d) [a] b](http://d) [a [b](http://d)",
            "<a http://d>a [b [c]]</a> [a] b](<a http://d>http://d</a>) [a <a http://d>b</a>",
        ),
        (
            "[a [b](http://c) d](http://e) [![f](http://g)](http://h)",
            "[a <a http://c>b</a> d](<a http://e>http://e</a>) <a http://h><a http://g>f</a></a>",
        ),
        ("[a *b](http://c*) *[a*](http://c)", "<a http://c*>a *b</a> *<a http://c>a*</a>"),
        ("[a <b c=\"](d)\"> [a`](b)`", "[a <b c=\"](d)\"> [a<c>](b)</c>"),
        ("[a](#b) [a](/b) [a](javascript:b) [a](<>)", "a a a a"),
        ("![a *b*](http://c) ![](http://d) ![e](/f)", "<a http://c>a <e>b</e></a> <a http://d>image</a> e"),
        (
            "![[a](http://b)](http://c) \\![a](http://b) !\\[a]",
            "<a http://c><a http://b>a</a></a> !<a http://b>a</a> ![a]",
        ),
        (
            "<https://a.b/c?d=*e*&amp;> <ftp://f> <m@n.org> <a+b:c>",
            "<a https://a.b/c?d=*e*&amp;>https://a.b/c?d=*e*&amp;</a> ftp://f m@n.org a+b:c",
        ),
        (
            "<http://a b> <> < http://c > <m:x> <x@>",
            "<<a http://a>http://a</a> b> <> < <a http://c>http://c</a> > <m:x> <x@>",
        ),
    ]);
    let defined =
        |source: &str| drawn(&parse(&format!("[r]: http://r\n[s*]: http://s\n[b]: http://b\n\n{source}")));
    for (source, expected) in [
        (
            "[a][r] [a][R] [r][] [r] ![r] ![a][r]",
            "<a http://r>a</a> <a http://r>a</a> <a http://r>r</a> <a http://r>r</a> <a http://r>r</a> <a http://r>a</a>",
        ),
        (
            "[a [b] c][r] [a [b](http://d) c][r]",
            "[a <a http://b>b</a> c]<a http://r>r</a> [a <a http://d>b</a> c]<a http://r>r</a>",
        ),
        ("[a] [r] [r] (x)", "[a] <a http://r>r</a> <a http://r>r</a> (x)"),
        (
            "[r][none] [none][r][b] [r][b][none]",
            "[r][none] <a http://r>none</a><a http://b>b</a> <a http://b>r</a>[none]",
        ),
        ("[r](not a link) [r](/yes) [r]: x", "<a http://r>r</a>(not a link) r <a http://r>r</a>: x"),
        (
            "\\[r] [\\r] [r\\] [[r]] [*r*] *[s*] [r][ ]",
            "[r] [\\r] [r] [<a http://r>r</a>] [<e>r</e>] *<a http://s>s*</a> <a http://r>r</a>[ ]",
        ),
    ] {
        assert_eq!(defined(source), format!("<p>{expected}</p>"), "of {source:?}");
    }
}

#[test]
fn breaks() {
    check(&[
        ("a  \nb\\\nc      \n  d\n", "<p>a<br>b<br>c<br>d</p>"),
        ("a \nb\n", "<p>a\nb</p>"),
        ("*a  \nb*\n", "<p><e>a<br>b</e></p>"),
        ("`a  \nb`\n", "<p><c>a   b</c></p>"),
        ("a\\\n\nb  \n", "<p>a\\</p><p>b</p>"),
        ("# a\\\n# b  \n", "<h1>a\\</h1><h1>b</h1>"),
        ("<b  \nc>\n", "<p><b  \nc></p>"),
    ]);
}
