//! The file tools: reading, writing and editing text inside the workspace, and nowhere else.
//!
//! Everything goes through one directory handle, opened once (a capability: neither absolute paths nor `..` nor symbolic
//! links lead out of it; a hard link cannot be told apart). A change is written beside its target, flushed, given the
//! target's mode, and renamed over it, so that no reader ever sees half a file; changes are made one at a time. The work
//! runs on threads that may block.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{
    Dir, File, MetadataExt as _, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _,
};
use rustix::fs::OFlags;
use shared::files::{FileChange, FileText};
use shared::{Problem, ProblemCode};
use similar::{ChangeTag, TextDiff};
use uuid::Uuid;

/// Bytes of one `read`.
pub const READ_BYTES: usize = 256 * 1024;
/// Bytes of a file that is written or edited.
pub const WRITE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a file that is read from, since its lines are counted.
const SCAN_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of a diff.
const DIFF_BYTES: usize = 32 * 1024;
/// Bytes at a file's beginning in which a zero byte means "binary".
const SNIFF: usize = 8 * 1024;
/// After this a diff is made coarser instead of finer.
const DIFF_TIME: Duration = Duration::from_millis(300);

/// A handle; copies are cheap.
#[derive(Clone)]
pub struct Files {
    inner: Arc<Inner>,
}

struct Inner {
    workspace: PathBuf,
    dir: Dir,
    changing: Mutex<()>,
}

impl Files {
    /// Takes hold of the workspace.
    ///
    /// # Errors
    /// It is not there, not a folder, or cannot be opened.
    pub fn open(workspace: &Path) -> io::Result<Self> {
        let workspace = workspace.canonicalize()?;
        let dir = Dir::open_ambient_dir(&workspace, ambient_authority())?;
        Ok(Self { inner: Arc::new(Inner { workspace, dir, changing: Mutex::new(()) }) })
    }

    /// Lines of a text file: from `offset` (counted from 1) on, at most `limit` of them and at most 256 KiB.
    ///
    /// # Errors
    /// Outside the workspace, not there, not text, too large, or beyond its end.
    pub async fn read(
        &self,
        path: String,
        offset: Option<u64>,
        limit: Option<u64>,
    ) -> Result<FileText, Problem> {
        self.run(move |inner| inner.read(&path, offset.unwrap_or(1).max(1), limit.unwrap_or(u64::MAX))).await
    }

    /// Writes a whole file of at most 4 MiB, making folders as needed.
    ///
    /// # Errors
    /// Outside the workspace, too large, a folder or device, or refused by the system.
    pub async fn write(&self, path: String, content: String) -> Result<FileChange, Problem> {
        self.run(move |inner| inner.write(&path, &content)).await
    }

    /// Replaces the first occurrence of a text.
    ///
    /// # Errors
    /// As for reading and writing, and when the text is not there.
    pub async fn edit(
        &self,
        path: String,
        old_text: String,
        new_text: String,
    ) -> Result<FileChange, Problem> {
        self.run(move |inner| inner.edit(&path, &old_text, &new_text)).await
    }

    async fn run<T, W>(&self, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> Result<T, Problem> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .unwrap_or_else(|error| Err(Problem::new(ProblemCode::Internal, error.to_string())))
    }
}

impl Inner {
    fn read(&self, path: &str, offset: u64, limit: u64) -> Result<FileText, Problem> {
        let relative = self.relative(path)?;
        let (file, length) = self.open(&relative, path)?;
        if length > SCAN_BYTES {
            let words = format!(
                "{path} has {length} bytes; files of at most {SCAN_BYTES} are read. Use a command such as sed -n or tail."
            );
            return Err(Problem::new(ProblemCode::TooLarge, words));
        }
        let failed = |error: io::Error| system(path, &error);
        let mut reader = BufReader::with_capacity(64 * 1024, file);
        refuse_binary(path, reader.fill_buf().map_err(failed)?)?;
        let (mut text, mut total, mut taken, mut full) = (Vec::new(), 0_u64, 0_u64, false);
        let mut line = Vec::new();
        loop {
            line.clear();
            let wanted = total + 1 >= offset && taken < limit && !full;
            let length = if wanted {
                // One byte more than may be kept tells that a line is too long; the rest of it is skipped.
                let read = reader
                    .by_ref()
                    .take(READ_BYTES as u64 + 1)
                    .read_until(b'\n', &mut line)
                    .map_err(failed)?;
                if read > READ_BYTES { read + skip_line(&mut reader).map_err(failed)? } else { read }
            } else {
                skip_line(&mut reader).map_err(failed)?
            };
            if length == 0 {
                break;
            }
            total += 1;
            if !wanted {
                continue;
            }
            if text.len() + line.len() > READ_BYTES {
                if taken == 0 {
                    let words = format!(
                        "Line {total} of {path} has {length} bytes; at most {READ_BYTES} are read at once. Use a command such as cut -c."
                    );
                    return Err(Problem::new(ProblemCode::TooLarge, words));
                }
                full = true;
                continue;
            }
            text.extend_from_slice(&line);
            taken += 1;
        }
        if offset > total.max(1) {
            let words = format!("{path} has {total} lines, so there is no line {offset}.");
            return Err(Problem::new(ProblemCode::NotFound, words));
        }
        let text = String::from_utf8(text).map_err(|_| not_utf8(path))?;
        Ok(FileText { text, first_line: offset, total_lines: total, more: offset - 1 + taken < total })
    }

    fn write(&self, path: &str, content: &str) -> Result<FileChange, Problem> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let relative = self.target(path)?;
        let before = match self.old(&relative, path) {
            Ok(before) => Some(before),
            Err(problem) if problem.code == ProblemCode::NotFound => None,
            Err(problem) => return Err(problem),
        };
        let diff = match &before {
            None => Change::between(&relative, None, content),
            Some(Ok(old)) => Change::between(&relative, Some(old), content),
            Some(Err(reason)) => Change {
                added: content.lines().count() as u64,
                removed: 0,
                diff: format!("(No diff: what was there {reason}.)\n"),
            },
        };
        self.replace(&relative, path, content)?;
        Ok(diff.of(&relative, before.is_none()))
    }

    fn edit(&self, path: &str, old_text: &str, new_text: &str) -> Result<FileChange, Problem> {
        if old_text.is_empty() {
            let words =
                "old_text is empty. Give the text to replace, or use write_file to write the whole file.";
            return Err(Problem::new(ProblemCode::Malformed, words));
        }
        if old_text == new_text {
            return Err(Problem::new(
                ProblemCode::Malformed,
                "old_text and new_text are the same: nothing would change.",
            ));
        }
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let relative = self.target(path)?;
        let old = self.old(&relative, path)?.map_err(|reason| {
            let code = if reason.contains("bytes") { ProblemCode::TooLarge } else { ProblemCode::NotText };
            Problem::new(code, format!("{path} {reason}, so it cannot be edited. Use a command."))
        })?;
        let at = old.find(old_text).ok_or_else(|| no_match(path, &old, old_text))?;
        let mut new = String::with_capacity(old.len() - old_text.len() + new_text.len());
        new.push_str(&old[..at]);
        new.push_str(new_text);
        new.push_str(&old[at + old_text.len()..]);
        let change = Change::between(&relative, Some(&old), &new);
        self.replace(&relative, path, &new)?;
        Ok(change.of(&relative, false))
    }

    /// The path relative to the workspace, in its words.
    fn relative(&self, path: &str) -> Result<PathBuf, Problem> {
        let malformed = |words: &str| Problem::new(ProblemCode::Malformed, format!("{path:?} {words}"));
        if path.contains('\0') {
            return Err(malformed("holds a zero byte, which no path can."));
        }
        let relative = match Path::new(path) {
            absolute if absolute.is_absolute() => {
                absolute.strip_prefix(&self.workspace).map_err(|_| self.outside(path))?
            }
            relative => relative,
        };
        // `a/../b` without looking at links: the handle alone decides, but a path that climbs out by its words alone
        // deserves the clear answer.
        let mut depth = 0_i64;
        for component in relative.components() {
            match component {
                Component::ParentDir => depth -= 1,
                Component::Normal(_) => depth += 1,
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
            if depth < 0 {
                return Err(self.outside(path));
            }
        }
        if relative.file_name().is_none() {
            return Err(malformed("names no file."));
        }
        Ok(relative.to_owned())
    }

    /// The same, with links followed as far as they lead inside, for what is to be replaced.
    fn target(&self, path: &str) -> Result<PathBuf, Problem> {
        let relative = self.relative(path)?;
        match self.dir.canonicalize(&relative) {
            Ok(real) => Ok(real),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.dir.symlink_metadata(&relative).is_ok_and(|metadata| metadata.is_symlink()) {
                    let words = format!(
                        "{path} is a link to something that is not there. Write to its target, or remove the link."
                    );
                    return Err(Problem::new(ProblemCode::Conflict, words));
                }
                Ok(relative)
            }
            Err(error) => Err(self.refused(path, &error)),
        }
    }

    /// A regular file and its length.
    fn open(&self, relative: &Path, path: &str) -> Result<(File, u64), Problem> {
        let refused = |error: io::Error| self.refused(path, &error);
        let mut options = OpenOptions::new();
        // A named pipe would block its reader for ever.
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = self.dir.open_with(relative, &options).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        if metadata.is_dir() {
            let words = format!("{path} is a folder. Use a command such as ls to list it.");
            return Err(Problem::new(ProblemCode::NotText, words));
        }
        if !metadata.is_file() {
            return Err(Problem::new(
                ProblemCode::NotText,
                format!("{path} is a device or pipe, not a file."),
            ));
        }
        Ok((file, metadata.len()))
    }

    /// The text of a file that is about to be changed, or why it is none, as the end of a sentence.
    fn old(&self, relative: &Path, path: &str) -> Result<Result<String, String>, Problem> {
        let (file, length) = self.open(relative, path)?;
        if length > WRITE_BYTES as u64 {
            return Ok(Err(format!("has {length} bytes (more than {WRITE_BYTES})")));
        }
        let mut bytes = Vec::new();
        file.take(WRITE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| system(path, &error))?;
        Ok(match refuse_binary(path, &bytes) {
            Err(_) => Err("is binary".into()),
            Ok(()) => String::from_utf8(bytes).map_err(|_| "is not valid UTF-8".into()),
        })
    }

    fn replace(&self, relative: &Path, path: &str, content: &str) -> Result<(), Problem> {
        if content.len() > WRITE_BYTES {
            let words = format!(
                "{path} would have {} bytes; at most {WRITE_BYTES} are written. Use a command.",
                content.len()
            );
            return Err(Problem::new(ProblemCode::TooLarge, words));
        }
        let refused = |error: io::Error| self.refused(path, &error);
        let old = match self.dir.metadata(relative) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(refused(error)),
        };
        if old.is_some() {
            // A rename would replace even what is not to be written to.
            drop(self.dir.open_with(relative, OpenOptions::new().write(true)).map_err(refused)?);
        }
        let folder = relative.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            self.dir.create_dir_all(folder).map_err(refused)?;
        }
        let beside = relative.with_file_name(format!(".meanwhile-{}.tmp", Uuid::new_v4().simple()));
        let written = (|| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            if old.is_some() {
                // The old mode follows; until then nobody else needs to see it.
                options.mode(0o600);
            }
            let mut file = self.dir.open_with(&beside, &options)?;
            file.write_all(content.as_bytes())?;
            if let Some(old) = &old {
                let new = file.metadata()?;
                if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                    let owner = Some(rustix::fs::Uid::from_raw(old.uid()));
                    // Only root may give a file away; otherwise it becomes the writer's.
                    let _not_root =
                        rustix::fs::fchown(&file, owner, Some(rustix::fs::Gid::from_raw(old.gid())));
                }
                file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            }
            file.sync_all()?;
            self.dir.rename(&beside, &self.dir, relative)
        })();
        written.map_err(|error| {
            // It may not have come to be.
            let _none = self.dir.remove_file(&beside);
            refused(error)
        })
    }

    fn outside(&self, path: &str) -> Problem {
        let words = format!(
            "{path} is outside the workspace {}. The file tools work inside it only.",
            self.workspace.display()
        );
        Problem::new(ProblemCode::OutsideWorkspace, words)
    }

    fn refused(&self, path: &str, error: &io::Error) -> Problem {
        // The handle's own refusal bears no number of the system's.
        if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
            self.outside(path)
        } else if error.kind() == io::ErrorKind::NotFound {
            Problem::new(ProblemCode::NotFound, format!("There is no file {path} in the workspace."))
        } else {
            system(path, error)
        }
    }
}

/// What a change is, before it is made.
struct Change {
    added: u64,
    removed: u64,
    diff: String,
}

impl Change {
    fn between(path: &Path, old: Option<&str>, new: &str) -> Self {
        let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(old.unwrap_or_default(), new);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count() as u64;
        let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
        let name = path.display();
        let before = if old.is_some() { format!("a/{name}") } else { "/dev/null".into() };
        let text = diff.unified_diff().context_radius(3).header(&before, &format!("b/{name}")).to_string();
        Self { added, removed, diff: cut_diff(text) }
    }

    fn of(self, path: &Path, created: bool) -> FileChange {
        let Self { added, removed, diff } = self;
        FileChange { path: path.to_string_lossy().into_owned(), created, added, removed, diff }
    }
}

fn cut_diff(mut diff: String) -> String {
    const ROOM: usize = 64;
    if diff.len() > DIFF_BYTES {
        let most = crate::limits::char_border(&diff, DIFF_BYTES - ROOM);
        let end = diff[..most].rfind('\n').map_or(most, |end| end + 1);
        let rest = diff[end..].lines().count();
        diff.truncate(end);
        if !diff.ends_with('\n') {
            diff.push('\n');
        }
        diff.push_str(&format!("(cut: {rest} more lines)\n"));
    }
    diff
}

/// Skips to behind the next line end, and gives how many bytes that was.
fn skip_line(reader: &mut BufReader<File>) -> io::Result<usize> {
    reader.skip_until(b'\n')
}

fn refuse_binary(path: &str, beginning: &[u8]) -> Result<(), Problem> {
    let words = match beginning {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            "is UTF-16 text, and only UTF-8 is read. Convert it with a command such as iconv."
        }
        _ if beginning.iter().take(SNIFF).any(|byte| *byte == 0) => {
            "is a binary file. Use a command such as file, xxd or strings."
        }
        _ => return Ok(()),
    };
    Err(Problem::new(ProblemCode::NotText, format!("{path} {words}")))
}

fn not_utf8(path: &str) -> Problem {
    let words = format!(
        "{path} is not valid UTF-8. Convert it with a command such as iconv, or look at it with xxd."
    );
    Problem::new(ProblemCode::NotText, words)
}

fn system(path: &str, error: &io::Error) -> Problem {
    Problem::new(ProblemCode::System, format!("{path}: {error}."))
}

/// Says what is nearly there.
fn no_match(path: &str, old: &str, wanted: &str) -> Problem {
    let hint = if old.contains("\r\n") && old.replace("\r\n", "\n").contains(&wanted.replace("\r\n", "\n")) {
        " It is there with other line ends: the file has \\r\\n.".to_owned()
    } else {
        let first = wanted.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let near = old.lines().position(|line| !first.is_empty() && line.trim() == first);
        near.map_or_else(String::new, |at| {
            format!(" Line {} is like its first line; the rest or the spaces differ.", at + 1)
        })
    };
    let words =
        format!("The text to replace is not in {path}.{hint} Read the file again and give the text exactly.");
    Problem::new(ProblemCode::NoMatch, words)
}
