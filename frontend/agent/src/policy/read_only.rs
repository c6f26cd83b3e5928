//! What is known only to read: programs by name, with the options that are known where others would write or
//! run something, on paths inside the workspace. What passes is held to reading by the kernel, so this list
//! decides what is worth a question, and not what is safe.
//!
//! A program that is not listed is asked for, and so is an option that is not listed where options can do
//! harm.

mod git;

pub(super) use self::git::READS as GIT_READS;

use super::scripts;
use super::shell::{Script, Word};

/// A row: programs, the short options that may stand together, and the others. `x*`: what begins so.
type Row = (&'static str, &'static str, &'static str);

/// What only reads, with options that are known, since others would write or run something.
const TABLE: &[Row] = &[
    (
        "tree",
        "adfpsughDFLIPCnrtvcUiqxJX",
        "--gitignore --noreport --dirsfirst --du --prune --sort* --filelimit --charset* --matchdirs --ignore-case",
    ),
    ("xxd", "abdeipuclsgo", ""),
    ("wc", "cmlLw", "--bytes --chars --lines --words --max-line-length"),
    (
        "du",
        "abchHklLmsSxd0123456789",
        "--all --apparent-size --human-readable --summarize --total --max-depth* --exclude=*",
    ),
    ("md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum", "bt", "--binary --text --tag"),
    (
        "sort",
        "bdfghinrsuVzRMckt",
        "-k* -t* --key* --field-separator* --unique --reverse --numeric-sort --human-numeric-sort --version-sort --ignore-case --stable --check",
    ),
    (
        "uniq",
        "cdiuzfsw0123456789",
        "--count --repeated --unique --ignore-case --skip-fields* --skip-chars* --check-chars*",
    ),
    ("file", "biLhk", "--brief --mime*"),
    ("date", "uIRd", "--utc --iso-8601* --date=*"),
    ("df", "ahHiklmPTx", "--human-readable --total"),
    ("nm", "aABCDgnoprSu", "--demangle --defined-only --undefined-only"),
    ("objdump", "dDsStTxhrRCpfgwM", "--disassemble* --syms --section-headers"),
    ("readelf", "aehlSsdrnVWx", "--all --wide --headers"),
    (
        "rg",
        "abcehilnopqsuvwxABCEgjmMNHIFPSTULtr.0123456789",
        "-A* -B* -C* -g* -t* -T* -m* -e* -r* -M* -E* -j* -d* --files --hidden --ignore-case --smart-case --case-sensitive --fixed-strings --word-regexp --line-regexp \
         --regexp* --line-number --no-line-number --no-heading --heading --count --count-matches --glob* --iglob* --type --type=* --type-not* \
         --type-list --files-with-matches --files-without-match --max-count* --context* --before-context* --after-context* --no-ignore* \
         --no-config --multiline --multiline-dotall --only-matching --sort* --color* --colors* --max-depth* --max-columns* --max-filesize* \
         --stats --json --vimgrep --column --trim --null --follow --no-filename --with-filename --passthru --replace* --invert-match \
         --pcre2 --engine* --text --unrestricted --quiet --no-messages --crlf --encoding* --pretty --threads* --debug --one-file-system",
    ),
    (
        "fd fdfind",
        "HIEaesgitdLpFu0nSo1",
        "--extension* --type* --hidden --no-ignore* --max-depth* --min-depth* --exclude* --full-path --absolute-path --glob --print0 --follow --color* --size* --changed-*",
    ),
    (
        "find",
        "",
        "-name -iname -path -ipath -wholename -lname -type -xtype -maxdepth -mindepth -size -mtime -mmin -ctime -cmin -atime -amin \
         -newer* -samefile -inum -empty -print -print0 -not -o -a -or -and -prune -perm -user -group -nouser -nogroup -regex -iregex \
         -regextype -readable -writable -executable -links -ls -quit -depth -xdev -mount -printf -true -false -L -H -P -E -follow \
         -daystart -0* -1* -2* -3* -4* -5* -6* -7* -8* -9*",
    ),
    (
        "test [ [[",
        "",
        "-e -f -d -r -w -x -s -L -h -n -z -b -c -p -S -t -u -g -k -O -G -N -o -a -eq -ne -lt -le -gt -ge -nt -ot -ef -1",
    ),
    ("unzip", "lvZ12ptzq", ""),
    ("xargs", "0rt", ""),
];

/// What only reads, whatever its options.
const READERS: &str = "true false pwd whoami sleep seq echo basename dirname uname nproc ls cat head tail cut tr nl tac stat grep egrep \
    fgrep which type cmp diff id uptime jq rev fold comm join paste expand unexpand column od hexdump strings base64 cksum realpath readlink \
    zcat expr arch groups";
/// Programs whose words are not paths, or that do nothing with a file's content.
const WORDS: &str = "true false pwd whoami sleep seq echo printf basename dirname uname nproc tr which type command date uptime id expr arch \
    groups";
/// Programs in the table whose words are often made of a pattern of file names.
const FILES_ONLY: &str =
    "wc du file nm objdump readelf md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum";
/// Programs whose first operand is a text, and not a file, if no option gives that text.
const TEXT_FIRST: &str = "grep egrep fgrep rg sed awk jq fd fdfind";

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
        if lists(WORDS, &program.text) {
            return Ok(());
        }
        let mut paths = arguments.iter().zip(texts(&program.text, arguments)).filter(|(_, is_text)| !is_text);
        paths.try_for_each(|(word, _)| check_path(word, workspace))
    })
}

fn lists(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

/// Of each argument, whether it is a pattern, a program or a sign that parts fields, and so no path.
fn texts(program: &str, arguments: &[Word]) -> Vec<bool> {
    let words: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
    let before = |at: usize| at.checked_sub(1).map_or("", |before| words[before]);
    let is_text = |at: usize| match program {
        // `cut -d/`, `cut -d /`
        "cut" | "sort" | "awk" | "column" | "paste" | "join" => {
            let parts = ["-d", "-t", "-F", "-s"];
            words[at] == "/" && parts.contains(&before(at))
                || words[at].strip_suffix('/').is_some_and(|option| parts.contains(&option))
        }
        "grep" | "egrep" | "fgrep" | "rg" => before(at) == "-e",
        // `git log -S'/path'`
        "git" => words[at].starts_with("-S") || words[at].starts_with("-G"),
        _ => false,
    };
    let mut texts: Vec<bool> = (0..words.len()).map(is_text).collect();
    let given = ["-e", "-f", "--regexp", "--expression", "--file"];
    let is_given = words.iter().any(|word| given.iter().any(|option| word.starts_with(option)));
    let (program, from) =
        if program == "git" && words.first() == Some(&"grep") { ("grep", 1) } else { (program, 0) };
    if lists(TEXT_FIRST, program) && !is_given {
        let first = match program {
            "awk" => scripts::awk_program(&words),
            _ => (from..words.len()).find(|at| is_operand(&arguments[*at])),
        };
        if let Some(first) = first {
            texts[first] = true;
        }
    }
    texts
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
    if lists(READERS, program) || asks_version(program, arguments) {
        return Ok(());
    }
    if program == "git" {
        return git::check(arguments);
    }
    let row = TABLE.iter().find(|(programs, ..)| lists(programs, program));
    let only_known = || row.is_some_and(|(_, letters, whole)| only(arguments, letters, whole));
    let operands = || arguments.iter().filter(|word| is_operand(word)).count();
    let no_glob = || arguments.iter().all(|word| word.glob.is_none());
    let fits = match program {
        // The second file that these are given is written to.
        "xxd" => {
            only_known() && no_glob() && operands_but_values(arguments, &["-c", "-l", "-s", "-g", "-o"]) <= 1
        }
        "uniq" => only_known() && no_glob() && operands() <= 1,
        "test" | "[" | "[[" => only_known() && no_glob(),
        // A date as an operand is set.
        "date" => {
            let is_told = |at: usize| at > 0 && arguments[at - 1].text == "-d";
            let shows = |at: usize| is_told(at) || arguments[at].text.starts_with(['-', '+']);
            only_known() && (0..arguments.len()).all(shows)
        }
        "find" => is_reading_find(arguments),
        "xargs" => is_reading_xargs(arguments),
        "tar" => is_listing_tar(arguments),
        "unzip" => {
            only_known() && arguments.first().is_some_and(|first| first.text.contains(['l', 'v', 'Z', 'p']))
        }
        "awk" => is_printing_awk(arguments),
        "sed" => is_printing_sed(arguments),
        "cargo" => match arguments {
            [verb, options @ ..] if matches!(verb.text.as_str(), "tree" | "metadata") => {
                options.iter().any(|word| word.text == "--offline") && only(options, "dpie", CARGO)
            }
            _ => false,
        },
        "cd" => matches!(arguments, [folder] if !folder.text.starts_with('-') && !folder.text.is_empty()),
        "command" => arguments.first().is_some_and(|first| matches!(first.text.as_str(), "-v" | "-V")),
        "printf" => {
            only(arguments, "", "--")
                && arguments.iter().all(|word| word.glob.is_none() && only_prints(&word.text))
        }
        _ if lists(FILES_ONLY, program) => row.is_some_and(|(_, letters, whole)| {
            arguments.iter().all(|word| is_operand(word) || knows(&word.text, letters, whole))
        }),
        _ => only_known(),
    };
    if fits {
        return Ok(());
    }
    let known = row.is_some() && program != "xargs" || lists("cd command printf sed awk cargo tar", program);
    Err(if known {
        format!("It runs {program} with options that are not known to be harmless.")
    } else {
        format!("It runs {}, which is not known to be harmless.", shown(program))
    })
}

const CARGO: &str = "--offline --locked --frozen --workspace --all-features --no-deps --duplicates --package --invert --edges* --depth* \
    --format-version* --prefix*";

/// Whether all options are known. What a glob at the beginning of a word stands for could be an option too.
fn only(arguments: &[Word], letters: &str, whole: &str) -> bool {
    arguments
        .iter()
        .all(|word| word.glob != Some(0) && (is_operand(word) || knows(&word.text, letters, whole)))
}

fn knows(option: &str, letters: &str, whole: &str) -> bool {
    let is = |known: &str| known.strip_suffix('*').map_or(option == known, |begin| option.starts_with(begin));
    cluster(option, letters) || whole.split_whitespace().any(is)
}

/// Whether `find` only shows, or hands what it found to what only reads.
fn is_reading_find(arguments: &[Word]) -> bool {
    let Some((_, _, options)) = TABLE.iter().find(|(programs, ..)| *programs == "find") else { return false };
    let mut rest = arguments;
    while let Some(at) = rest.iter().position(|word| matches!(word.text.as_str(), "-exec" | "-execdir")) {
        let (before, runs) = rest.split_at(at);
        let end = runs.iter().position(|word| matches!(word.text.as_str(), ";" | "+"));
        let Some(end) = end.filter(|end| only(before, "", options) && hands_on(&runs[1..*end])) else {
            return false;
        };
        rest = &runs[end + 1..];
    }
    only(rest, "", options)
}

/// Whether `xargs` hands what it reads to what only reads.
fn is_reading_xargs(arguments: &[Word]) -> bool {
    let mut at = 0;
    while let Some(text) =
        arguments.get(at).map(|word| word.text.as_str()).filter(|text| text.starts_with('-'))
    {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        at += match text {
            "-n" | "-L" | "-P" | "-I" | "-d" => 2,
            "--null" | "--no-run-if-empty" | "-I{}" => 1,
            _ if cluster(text, "0rt")
                || ["-n", "-L", "-P"].iter().any(|known| text.strip_prefix(known).is_some_and(is_number)) =>
            {
                1
            }
            _ => return false,
        };
    }
    hands_on(arguments.get(at..).unwrap_or_default())
}

/// Whether a program reads what others hand to it: which files these are the kernel decides.
fn hands_on(words: &[Word]) -> bool {
    let [program, arguments @ ..] = words else { return false };
    let reads = lists(READERS, &program.text)
        || lists("wc du file rg md5sum sha1sum sha256sum sha512sum", &program.text);
    reads && program.glob.is_none() && check_program(&program.text, arguments).is_ok()
}

/// Whether `tar` only lists: `tar tf a`, `tar -tzvf a`. What `:` stands in lies on another machine.
fn is_listing_tar(arguments: &[Word]) -> bool {
    let [first, rest @ ..] = arguments else { return false };
    let letters = first.text.strip_prefix('-').unwrap_or(&first.text);
    letters.contains('t')
        && letters.chars().all(|letter| "tvfzjJ".contains(letter))
        && rest.iter().all(|word| is_operand(word) && !word.text.contains(':'))
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
    let words: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
    let Some(at) = scripts::awk_program(&words) else { return false };
    let is_option = |word: &&str| !word.starts_with('-') || word.starts_with("-F") || *word == "-v";
    words[..at].iter().all(is_option)
        && arguments[..=at].iter().all(|word| word.glob.is_none())
        && scripts::awk(words[at]).plain
        && arguments[at + 1..].iter().all(|word| is_operand(word) && word.glob != Some(0))
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
