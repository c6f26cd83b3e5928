//! What of git only reads: by its verb, and by options that are known. Its external programs are off where
//! the kernel holds it.

use super::{Word, lists, shown};

/// Verbs that only read, whatever they are given besides options that are not in [`OPTIONS`].
pub(in crate::policy) const READS: &str = "status log diff show ls-files rev-parse blame describe shortlog grep ls-tree cat-file rev-list \
    merge-base for-each-ref diff-tree diff-index diff-files show-ref show-branch name-rev check-ignore check-attr count-objects cherry \
    range-diff whatchanged version";

/// Options of those. `x*`: what begins so.
const OPTIONS: &str = "-- --all --branches* --tags* --remotes* --glob=* --oneline --graph --decorate* --no-decorate --pretty* --format* --abbrev* \
    --no-abbrev* --date* --relative-date --since* --until* --after* --before* --author* --committer* --grep* --invert-grep --all-match \
    --regexp-ignore-case --extended-regexp --fixed-strings --perl-regexp --merges --no-merges --first-parent --reverse --max-count* --skip* \
    --follow --stat* --shortstat --numstat --dirstat* --summary --patch* --no-patch --raw --name-only --name-status --diff-filter* \
    --cached --staged --merge-base --word-diff* --color* --no-color --ignore-all-space --ignore-space-change --ignore-blank-lines \
    --ignore-space-at-eol --ignore-cr-at-eol --find-renames* --find-copies* --no-renames --unified* --inter-hunk-context* --function-context \
    --minimal --patience --histogram --diff-algorithm* --exit-code --quiet --check --full-index --binary --submodule* --no-ext-diff \
    --no-textconv --no-prefix --pickaxe* --porcelain* --short* --long --branch --show-stash --untracked-files* --ignored* \
    --ignore-submodules* --ahead-behind --no-ahead-behind --renames --column* --no-column --deleted --modified --others --stage \
    --unmerged --killed --exclude-standard --exclude=* --error-unmatch --full-name --eol --recurse-submodules --show-toplevel \
    --show-prefix --show-cdup --show-superproject-working-tree --git-dir --git-common-dir --git-path --absolute-git-dir --is-inside-work-tree \
    --is-inside-git-dir --is-bare-repository --is-shallow-repository --abbrev-ref* --symbolic* --verify --revs-only --no-revs \
    --numbered --email --count* --left-right --left-only --right-only --cherry* --boundary --topo-order \
    --date-order --author-date-order --objects --parents --children --ancestry-path* --simplify* --full-history --dense --sparse --no-walk* \
    --walk-reflogs --show-signature --notes* --no-notes --cc --root --candidates* --match* --exact-match --contains* --no-contains* \
    --always --dirty* --broken* --line-number --files-with-matches --files-without-match --ignore-case --word-regexp \
    --invert-match --context* --after-context* --before-context* --show-function --heading --break --max-depth* --untracked --and --or --not --null --sort* --points-at* --merged* --no-merged* --heads --head \
    --dereference --hash* --independent --is-ancestor --octopus --fork-point --incremental --show-stats --show-name --show-number \
    --show-email --reverse* --tree --full-tree --object-only --verbose --human-readable --no-optional-locks --list --show-current";

/// Letters that an option may begin with; a value may follow. `-O` of `grep` opens a program.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHILMNPRSTUVWXYZ0123456789";

pub(super) fn check(arguments: &[Word]) -> Result<(), String> {
    let mut words: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
    // The folder is a path, and looked at as one.
    loop {
        match words.as_slice() {
            ["--no-pager" | "-P" | "--no-optional-locks", ..] => words.drain(..1),
            ["-C", _, ..] => words.drain(..2),
            _ => break,
        };
    }
    let Some((verb, rest)) = words.split_first() else { return Ok(()) };
    let operands = rest.iter().filter(|word| !word.starts_with('-')).count();
    let only = |known: &str| rest.iter().all(|word| !word.starts_with('-') || is_known(word, known));
    let has = |known: &str| rest.iter().any(|word| is_known(word, known));
    let lists_refs = "--list -l --contains* --no-contains* --merged* --no-merged* --points-at*";
    let fits = match *verb {
        "--version" => rest.is_empty(),
        verb if lists(READS, verb) => rest.iter().all(|word| is_reading(word)),
        // A name alone would make one.
        "branch" => {
            only(
                "-a -r -v -vv -l -i --list --all --remotes --show-current --sort=* --format=* --verbose --ignore-case --contains* --no-contains* --merged* --no-merged* --points-at*",
            ) && (operands == 0 || has(lists_refs))
        }
        "tag" => {
            only(
                "-l -n* -i --list --sort=* --format=* --ignore-case --contains* --no-contains* --merged* --no-merged* --points-at*",
            ) && (operands == 0 || has(lists_refs))
        }
        "remote" => matches!(rest, [] | ["-v" | "--verbose"] | ["get-url", _]),
        "stash" => {
            matches!(rest.first(), Some(&("list" | "show"))) && rest.iter().all(|word| is_reading(word))
        }
        "reflog" => {
            (matches!(rest.first(), Some(&"show")) || operands == 0)
                && rest.iter().all(|word| is_reading(word))
        }
        "worktree" => matches!(rest, ["list"] | ["list", "--porcelain" | "-v"]),
        "submodule" => matches!(rest, ["status"] | ["status", "--recursive" | "--cached"]),
        "symbolic-ref" => operands == 1 && only("-q --quiet --short"),
        "config" => {
            matches!(
                rest.first(),
                Some(&"--get" | &"--get-all" | &"--get-regexp" | &"--list" | &"-l" | &"list" | &"get")
            ) && operands <= 2
                && only(
                    "--get --get-all --get-regexp --list -l --show-origin --show-scope --name-only --local --all",
                )
        }
        _ => return Err(format!("It runs git {}, which is not known to be harmless.", shown(verb))),
    };
    // Such a word could become an option.
    if fits && arguments.iter().all(|word| word.glob != Some(0)) {
        Ok(())
    } else {
        Err(format!("It runs git {verb} with options that are not known to be harmless."))
    }
}

fn is_known(word: &str, known: &str) -> bool {
    known
        .split_whitespace()
        .any(|one| one.strip_suffix('*').map_or(word == one, |begin| word.starts_with(begin)))
}

/// Whether a word is an operand, or an option of what only reads.
fn is_reading(word: &str) -> bool {
    let Some(option) = word.strip_prefix('-') else { return true };
    if option.starts_with('-') {
        is_known(word, OPTIONS)
    } else {
        option.starts_with(|letter| LETTERS.contains(letter))
    }
}
