//! A [`Spec`] as a profile of macOS's sandbox.

use std::path::Path;

use super::spec::Spec;

/// What every program takes to begin: the loader's libraries, facts about the machine, names of users.
/// Reading facts about files is allowed everywhere, as it is on Linux; their contents are not.
const BASE: &str = r#"(version 1)
(deny default)
(allow process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow sysctl-read)
(allow file-read-metadata)
(allow file-read* file-map-executable (subpath "/System/Library") (subpath "/usr/lib") (subpath "/System/Cryptexes") (subpath "/System/Volumes/Preboot/Cryptexes"))
(allow file-read* (literal "/") (literal "/dev/null") (literal "/dev/zero") (literal "/dev/random") (literal "/dev/urandom") (literal "/dev/dtracehelper") (literal "/private/etc/passwd") (literal "/private/etc/group") (literal "/private/etc/localtime") (literal "/private/var/db/xcode_select_link") (subpath "/private/var/db/timezone") (subpath "/private/var/select"))
(allow file-write-data (literal "/dev/null"))
(allow file-ioctl (literal "/dev/dtracehelper"))
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
"#;

/// The profile's text. Everything that it does not name is denied: the network, other services, writing.
///
/// # Errors
/// A path that cannot be written in a profile, as part of a sentence.
pub(super) fn text(spec: &Spec) -> Result<String, String> {
    let mut text = BASE.to_owned();
    for path in &spec.read {
        text.push_str(&format!("(allow file-read* (subpath {}))\n", quoted(path)?));
    }
    for path in &spec.run {
        let path = quoted(path)?;
        text.push_str(&format!("(allow file-read* file-map-executable process-exec (subpath {path}))\n"));
    }
    Ok(text)
}

/// A path as a string of the profile's language.
fn quoted(path: &Path) -> Result<String, String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or_else(|| format!("no profile can name the path {}", path.display()))?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn spec(read: &[&str], run: &[&str]) -> Spec {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Spec { read: paths(read), run: paths(run) }
    }

    #[test]
    fn a_path_is_read_and_only_a_program_is_run() {
        let text = text(&spec(&["/Users/me/project"], &["/bin"])).unwrap();
        assert!(text.starts_with("(version 1)\n(deny default)\n"), "what is not named is denied: {text}");
        assert!(text.contains("(allow file-read* (subpath \"/Users/me/project\"))\n"), "{text}");
        assert!(
            text.contains("(allow file-read* file-map-executable process-exec (subpath \"/bin\"))\n"),
            "{text}"
        );
        assert_eq!(text.matches("process-exec").count(), 1, "{text}");
    }

    #[test]
    fn it_writes_to_nothing_but_the_null_device_and_reaches_nobody() {
        let text = text(&spec(&["/w"], &["/bin"])).unwrap();
        let writes: Vec<&str> = text.lines().filter(|line| line.contains("file-write")).collect();
        assert_eq!(writes, ["(allow file-write-data (literal \"/dev/null\"))"]);
        for word in ["network", "ipc", "default)\n(allow default", "appleevent", "iokit", "target others"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn every_parenthesis_and_quote_closes_whatever_a_path_is_called() {
        let nasty = "/w/\") (allow default) (\"/a\\";
        let text = text(&spec(&[nasty], &[nasty])).unwrap();
        let (mut depth, mut quoted, mut escaped) = (0_i32, false, false);
        let mut lists = vec![String::new()];
        for sign in text.chars() {
            match sign {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '(' if !quoted => {
                    depth += 1;
                    lists.push(String::new());
                }
                ')' if !quoted => depth -= 1,
                sign if !quoted => lists.last_mut().unwrap().push(sign),
                _ => {}
            }
            assert!(depth >= 0, "{text}");
        }
        assert_eq!((depth, quoted), (0, false), "{text}");
        assert!(!lists.iter().any(|list| list.trim() == "allow default"), "{lists:?}");
        assert!(super::text(&spec(&["/w/a\nb"], &[])).is_err());
    }
}
