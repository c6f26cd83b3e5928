//! What is known only to read: programs by name, with the options that are known where others would write or run
//! something, on paths inside the workspace. What passes is held to reading by the kernel, so this list decides what is
//! worth a question, and not what is safe.
//!
//! A program that is not in [`check_program`] is asked for, and so is an option that is not known where options can do harm.

use super::scripts;
use super::shell::{Script, Word};

/// Whether a script may run unasked; if not, why, in a short sentence.
pub(super) fn check(script: &Script, workspace: &str) -> Result<(), String> {
    script.commands.iter().try_for_each(|words| {
        let [program, arguments @ ..] = words.as_slice() else {
            return Err("It is empty.".to_owned());
        };
        // What such a word becomes is the choice of whoever names files: `-?pre=sh` becomes `--pre=sh`.
        if let Some(word) = arguments.iter().find(|word| is_filled_in(word)) {
            return Err(format!("It takes {}, an option that file names fill in.", shown(&word.text)));
        }
        check_program(&program.text, arguments)?;
        if reads_files(&program.text) {
            arguments.iter().try_for_each(|word| check_path(word, workspace))?;
        }
        Ok(())
    })
}

/// Whether all that a program is asked for is its version.
fn asks_version(program: &str, arguments: &[Word]) -> bool {
    let [option] = arguments else { return false };
    let option = option.text.as_str();
    match program {
        "cargo" | "rustc" | "rustup" | "python" | "python3" => matches!(option, "--version" | "-V"),
        "node" | "npm" | "ruby" | "perl" | "php" => matches!(option, "--version" | "-v"),
        "java" | "javac" => matches!(option, "--version" | "-version"),
        "go" => option == "version",
        "bash" | "cc" | "clang" | "cmake" | "deno" | "docker" | "g++" | "gcc" | "make" | "pip" | "pip3"
        | "rustfmt" => option == "--version",
        _ => false,
    }
}

fn check_program(program: &str, arguments: &[Word]) -> Result<(), String> {
    if asks_version(program, arguments) {
        return Ok(());
    }
    let fits = match program {
        "true" | "false" | "pwd" | "whoami" | "sleep" | "seq" | "echo" | "basename" | "dirname" | "uname"
        | "nproc" | "ls" | "cat" | "head" | "tail" | "cut" | "tr" | "nl" | "tac" | "stat" | "grep"
        | "egrep" | "fgrep" | "which" | "cmp" | "diff" | "id" | "uptime" | "jq" | "rev" | "fold" | "comm"
        | "join" | "paste" | "expand" | "column" | "od" | "hexdump" | "strings" | "base64" | "cksum"
        | "realpath" | "readlink" => return Ok(()),
        // Others of its options write to a file, or to one in each folder.
        "tree" => only(arguments, |option| cluster(option, "adfpsughDFLIPCnrtvcUiqxJX")),
        // The second file that it is given is written to.
        "xxd" => {
            only(arguments, |option| cluster(option, "abdeipuclsgo"))
                && arguments.iter().all(|word| word.glob.is_none())
                && operands_but_values(arguments, &["-c", "-l", "-s", "-g", "-o"]) <= 1
        }
        "awk" => is_printing_awk(arguments),
        // Others of their options take the names of files from a file.
        "wc" => arguments.iter().all(|word| is_operand(word) || is_wc_option(&word.text)),
        "du" => arguments.iter().all(|word| is_operand(word) || is_du_option(&word.text)),
        "md5sum" | "sha1sum" | "sha256sum" => {
            only(arguments, |option| matches!(option, "-b" | "-t" | "--binary" | "--text" | "--tag"))
        }
        "sed" => is_printing_sed(arguments),
        "cargo" => match arguments {
            [verb, options @ ..] if matches!(verb.text.as_str(), "tree" | "metadata") => {
                options.iter().any(|word| word.text == "--offline") && only(options, is_cargo_option)
            }
            _ => false,
        },
        "cd" => matches!(arguments, [folder] if !folder.text.starts_with('-') && !folder.text.is_empty()),
        "command" => arguments.first().is_some_and(|first| first.text == "-v"),
        "printf" => {
            only(arguments, |option| option == "--")
                && arguments.iter().all(|word| word.glob.is_none() && only_prints(&word.text))
        }
        "test" | "[" => {
            arguments.iter().all(|word| word.glob.is_none() && !matches!(word.text.as_str(), "-v" | "-R"))
        }
        "date" => {
            only(arguments, |option| matches!(option, "-u" | "-I" | "-R" | "--utc" | "--iso-8601"))
                && arguments.iter().all(|word| word.text.starts_with(['-', '+']))
        }
        "sort" => only(arguments, is_sort_option),
        "uniq" => {
            only(arguments, |option| cluster(option, "cdiuz"))
                && arguments.iter().filter(|word| is_operand(word)).count() <= 1
                && arguments.iter().all(|word| word.glob.is_none())
        }
        "file" => only(arguments, |option| cluster(option, "biL") || option.starts_with("--mime")),
        "rg" => only(arguments, is_rg_option),
        "find" => only(arguments, is_find_option),
        "git" => return check_git(arguments),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let known = [
        "cd",
        "command",
        "printf",
        "test",
        "[",
        "date",
        "sort",
        "uniq",
        "file",
        "rg",
        "find",
        "wc",
        "du",
        "md5sum",
        "sha1sum",
        "sha256sum",
        "sed",
        "awk",
        "tree",
        "xxd",
        "cargo",
    ]
    .contains(&program);
    Err(if known {
        format!("It runs {program} with options that are not known to be harmless.")
    } else {
        format!("It runs {}, which is not known to be harmless.", shown(program))
    })
}

/// Programs whose words are not paths, or that do nothing with a file's content.
fn reads_files(program: &str) -> bool {
    !matches!(
        program,
        "true"
            | "false"
            | "pwd"
            | "whoami"
            | "sleep"
            | "seq"
            | "echo"
            | "printf"
            | "basename"
            | "dirname"
            | "uname"
            | "nproc"
            | "tr"
            | "which"
            | "command"
            | "date"
            | "uptime"
            | "id"
    )
}

/// Whether all options are known. What a glob at the beginning of a word stands for could be an option too.
fn only(arguments: &[Word], known: impl Fn(&str) -> bool) -> bool {
    arguments.iter().all(|word| word.glob != Some(0) && (is_operand(word) || known(&word.text)))
}

/// Whether a program for `sed` is one of the plain forms: others write to files and run commands.
fn is_printing_sed(arguments: &[Word]) -> bool {
    let plain = |program: &str| scripts::sed(program).is_some_and(|read| read.plain);
    let mut given = false;
    let mut operands = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        let fits = if let Some(program) = text.strip_prefix("--expression=") {
            given = true;
            plain(program)
        } else if cluster(text, "nErsuz") || matches!(text, "--quiet" | "--silent" | "--regexp-extended") {
            true
        } else if text.strip_suffix('e').is_some_and(|set| set == "-" || cluster(set, "nErsuz")) {
            given = true;
            words.next().is_some_and(|program| program.glob.is_none() && plain(&program.text))
        } else {
            operands.push(word);
            is_operand(word) && word.glob != Some(0)
        };
        if !fits {
            return false;
        }
    }
    given || operands.first().is_some_and(|program| program.glob.is_none() && plain(&program.text))
}

/// Whether a program for `awk` stands among its words, and only prints.
fn is_printing_awk(arguments: &[Word]) -> bool {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "-F" | "-v" => {
                if words.next().is_none_or(|value| value.glob.is_some()) {
                    return false;
                }
            }
            text if text.starts_with("-F") => {}
            text => {
                return !text.starts_with('-')
                    && word.glob.is_none()
                    && scripts::awk_only_prints(text)
                    && words.all(|word| is_operand(word) && word.glob != Some(0));
            }
        }
    }
    false
}

/// How many operands there are that are not the values of these options.
fn operands_but_values(arguments: &[Word], valued: &[&str]) -> usize {
    let is_value = |at: usize| at > 0 && valued.contains(&arguments[at - 1].text.as_str());
    (0..arguments.len()).filter(|at| is_operand(&arguments[*at]) && !is_value(*at)).count()
}

fn is_operand(word: &Word) -> bool {
    !word.text.starts_with('-') || word.text == "-"
}

/// An option whose name, not only its value, is a pattern of file names.
fn is_filled_in(word: &Word) -> bool {
    word.text.starts_with('-')
        && word.glob.is_some_and(|at| !word.text.starts_with("--") || !word.text[..at].contains('='))
}

fn cluster(option: &str, letters: &str) -> bool {
    option
        .strip_prefix('-')
        .is_some_and(|set| !set.is_empty() && set.chars().all(|letter| letters.contains(letter)))
}

/// Whether no conversion of a format does more than print: `%n` sets a variable, such as `PATH`.
fn only_prints(format: &str) -> bool {
    format.replace("%%", "").split('%').skip(1).all(|after| {
        let conversion =
            after.trim_start_matches(|sign: char| "-+ #'.*hlLjzt".contains(sign) || sign.is_ascii_digit());
        conversion.chars().next().is_none_or(|sign| "diouxXeEfFgGaAcsbqQ(".contains(sign))
    })
}

fn is_wc_option(option: &str) -> bool {
    cluster(option, "cmlLw")
        || matches!(option, "--bytes" | "--chars" | "--lines" | "--words" | "--max-line-length")
}

fn is_cargo_option(option: &str) -> bool {
    matches!(
        option,
        "--offline"
            | "--locked"
            | "--frozen"
            | "--workspace"
            | "--all-features"
            | "--no-deps"
            | "--duplicates"
            | "-d"
            | "-p"
            | "--package"
            | "-i"
            | "--invert"
            | "--depth"
            | "-e"
            | "--edges"
    ) || ["--depth=", "--format-version", "--prefix", "--edges="]
        .iter()
        .any(|known| option.starts_with(known))
}

fn is_du_option(option: &str) -> bool {
    cluster(option, "abchHklLmsSx")
        || option
            .strip_prefix("-d")
            .or_else(|| option.strip_prefix("--max-depth="))
            .is_some_and(|depth| depth.chars().all(|digit| digit.is_ascii_digit()))
        || matches!(option, "--all" | "--apparent-size" | "--human-readable" | "--summarize" | "--total")
}

fn is_sort_option(option: &str) -> bool {
    cluster(option, "bdfghinrsuVzRMc")
        || ["-k", "-t"].iter().any(|known| option.starts_with(known))
        || matches!(
            option,
            "--unique"
                | "--reverse"
                | "--numeric-sort"
                | "--human-numeric-sort"
                | "--version-sort"
                | "--ignore-case"
        )
}

fn is_rg_option(option: &str) -> bool {
    if option.starts_with("--") {
        let name = option.split('=').next().unwrap_or_default();
        return matches!(
            name,
            "--files"
                | "--hidden"
                | "--ignore-case"
                | "--smart-case"
                | "--fixed-strings"
                | "--word-regexp"
                | "--line-number"
                | "--no-heading"
                | "--count"
                | "--glob"
                | "--type"
                | "--files-with-matches"
                | "--max-count"
                | "--context"
                | "--no-ignore"
                | "--multiline"
                | "--only-matching"
                | "--sort"
                | "--color"
                | "--max-depth"
                | "--stats"
        );
    }
    !option.contains('z')
}

fn is_find_option(option: &str) -> bool {
    matches!(
        option,
        "-name"
            | "-iname"
            | "-path"
            | "-ipath"
            | "-wholename"
            | "-type"
            | "-maxdepth"
            | "-mindepth"
            | "-size"
            | "-mtime"
            | "-mmin"
            | "-newer"
            | "-empty"
            | "-print"
            | "-print0"
            | "-not"
            | "-o"
            | "-a"
            | "-or"
            | "-and"
            | "-prune"
            | "-perm"
            | "-user"
            | "-group"
            | "-regex"
            | "-iregex"
            | "-readable"
            | "-writable"
            | "-executable"
            | "-links"
            | "-ls"
            | "-quit"
            | "-depth"
            | "-xdev"
            | "-mount"
            | "-printf"
            | "-true"
            | "-false"
    ) || option[1..].starts_with(|digit: char| digit.is_ascii_digit())
}

fn check_git(arguments: &[Word]) -> Result<(), String> {
    let mut words = arguments.iter().map(|word| word.text.as_str()).skip_while(|word| *word == "--no-pager");
    let Some(verb) = words.next() else { return Ok(()) };
    let rest: Vec<&str> = words.collect();
    let fits = match verb {
        "status" | "log" | "diff" | "show" | "ls-files" | "rev-parse" | "blame" | "describe" | "shortlog"
        | "grep" | "ls-tree" | "cat-file" | "rev-list" | "merge-base" | "for-each-ref" => {
            arguments.iter().all(|word| word.glob != Some(0))
                && rest.iter().all(|word| is_harmless_git_option(word))
        }
        "branch" => rest.iter().all(|word| {
            matches!(*word, "-a" | "-r" | "-v" | "-vv" | "--list" | "--all" | "--remotes" | "--show-current")
        }),
        "remote" => matches!(rest.as_slice(), [] | ["-v"]),
        "stash" => matches!(rest.as_slice(), ["list"]),
        "--version" | "version" => rest.is_empty(),
        _ => return Err(format!("It runs git {}, which is not known to be harmless.", shown(verb))),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("It runs git {verb} with options that are not known to be harmless."))
    }
}

/// Git takes any unambiguous beginning of an option, so beginnings are refused: of `--output`, `--ext-diff`, `--exec`, `--textconv`, `--no-index`.
fn is_harmless_git_option(word: &str) -> bool {
    let Some(name) = word.strip_prefix("--") else { return !word.starts_with("-O") };
    !["ou", "ex", "textc", "no-i", "contents", "open"].iter().any(|begin| name.starts_with(begin))
}

/// A word that could name a file must name one inside the workspace.
pub(super) fn check_path(word: &Word, workspace: &str) -> Result<(), String> {
    let text = word.text.as_str();
    let path = match (is_operand(word), text.split_once('='), text.find('/')) {
        (true, ..) => text,
        (false, Some((_, value)), _) => value,
        (false, None, slash) => &text[slash.unwrap_or(text.len())..],
    };
    // A glob such as `.*` can stand for `..`.
    let up = |part: &str| {
        part == ".." || word.glob.is_some() && part.starts_with('.') && part.contains(['*', '?', '['])
    };
    let up = path.split(['/', '=']).any(up);
    let inside = |path: &str| {
        let rest = path.strip_prefix(workspace.trim_end_matches('/')).filter(|_| workspace.len() > 1);
        path == "/dev/null" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if up || path.starts_with('~') || path.starts_with('/') && !inside(path) {
        return Err(format!("It reads {}, which may be outside the workspace.", shown(text)));
    }
    Ok(())
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
