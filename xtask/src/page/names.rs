//! Short names for what the page's WebAssembly imports from its script.
//!
//! wasm-bindgen ends each name with a hash of sixteen digits, which stands in both files and which no compression makes
//! shorter: together eight thousand bytes. Only a name that the script holds exactly once, where it defines the function, is
//! changed; another one stays as it is.

use std::collections::HashMap;

/// How the names of imports begin.
const PREFIX: &str = "__wb";

/// Gives the imports short names, and returns the script with the same ones.
pub(super) fn shorten<'a>(script: &str, imports: impl Iterator<Item = &'a mut String>) -> String {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for word in words(script) {
        *count.entry(word).or_default() += 1;
    }
    let mut short: HashMap<String, String> = HashMap::new();
    for import in imports {
        if import.starts_with(PREFIX) && count.get(import.as_str()) == Some(&1) {
            let next = short.len();
            let name = short.entry(std::mem::take(import)).or_insert_with(|| name(next));
            import.clone_from(name);
        }
    }
    words(script).map(|word| short.get(word).map_or(word, String::as_str)).collect()
}

/// A text in pieces: its names and numbers, and what is between them.
fn words(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        let first = is_word(text.chars().next()?);
        let end = text.find(|c| is_word(c) != first).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        text = rest;
        Some(word)
    })
}

/// `a` to `z`, `aa` and so on.
fn name(mut number: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'a' + u8::try_from(number % 26).expect("a remainder of 26 fits"));
        if number < 26 {
            break;
        }
        number = number / 26 - 1;
    }
    letters.iter().rev().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_and_script_get_the_same_names_and_nothing_else_changes() {
        let script = "const import0 = {\n  __wbg_get_0a: function(a) { return a.__wbg_get_0a1; },\n  \
                      __wbg_set_1b: (é) => 'x',\n  __wbindgen_throw: 1 };\n__wbindgen_throw, other_1;";
        let mut imports =
            ["__wbg_set_1b", "__wbg_get_0a", "__wbindgen_throw", "other_1", "__wbg_gone", "__wbg_set_1b"]
                .map(str::to_owned);
        let shortened = shorten(script, imports.iter_mut());
        assert_eq!(imports, ["a", "b", "__wbindgen_throw", "other_1", "__wbg_gone", "a"]);
        assert_eq!(
            shortened,
            script.replace("__wbg_set_1b", "a").replace("__wbg_get_0a:", "b:"),
            "a longer name is another one"
        );
    }

    #[test]
    fn names_are_never_given_twice() {
        let mut names: Vec<String> = (0..2_000).map(name).collect();
        assert_eq!((&*names[0], &*names[25], &*names[26], &*names[702]), ("a", "z", "aa", "aaa"));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2_000);
    }
}
