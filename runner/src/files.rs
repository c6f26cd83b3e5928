//! The file tools: reading, writing and editing text inside the workspace, and nowhere else.
//!
//! Everything goes through one directory handle (a capability: neither absolute paths nor `..` nor symbolic
//! links lead out of it; a hard link cannot be told apart). A change is written beside its target, flushed, given the
//! target's mode, announced with what tells later whether it was made ([`intent`]), and renamed over the target, so that
//! no reader ever sees half a file; changes are made one at a time. The work runs on threads that may block.

pub mod asks;
mod diff;
mod folder;
pub mod intent;
mod lines;
mod words;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{
    Dir, File, MetadataExt as _, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _,
};
use rustix::fs::OFlags;
use shared::files::{FileChange, FileText};
use shared::{Problem, ProblemCode};
use uuid::Uuid;

use self::diff::Change;
use self::intent::{Identity, Intent};
use self::words::{no_match, not_utf8, refuse_binary, system};

/// Bytes of one `read`.
pub const READ_BYTES: usize = 256 * 1024;
/// Bytes of a file that is written or edited.
pub const WRITE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a file that is read from, since its lines are counted.
const SCAN_BYTES: u64 = 256 * 1024 * 1024;

/// A handle; copies are cheap.
#[derive(Clone)]
pub struct Files {
    inner: Arc<Inner>,
    /// Whether a person allowed what is done through this handle.
    approved: bool,
}

struct Inner {
    workspace: PathBuf,
    /// What the workspace is, if so much lies in it that a person must allow each change.
    wide: Option<String>,
    dir: Dir,
    changing: Arc<Mutex<()>>,
    /// The same with a newer handle, once another folder has come to its path.
    newer: Mutex<Option<Arc<Self>>>,
}

/// A change that is wanted.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A whole file.
    Write {
        /// Within the workspace.
        path: String,
        /// UTF-8, at most 4 MiB.
        content: String,
    },
    /// A text in place of another.
    Edit {
        /// Within the workspace.
        path: String,
        /// What is there, exactly.
        old_text: String,
        /// What shall be there.
        new_text: String,
    },
}

impl Files {
    /// Takes hold of the workspace.
    ///
    /// # Errors
    /// It is not there, not a folder, or cannot be opened.
    pub fn open(workspace: &Path) -> io::Result<Self> {
        Self::open_as(workspace, None)
    }

    /// The same; [`asks::wide`] may have said what the workspace is.
    ///
    /// # Errors
    /// As there.
    pub fn open_as(workspace: &Path, wide: Option<String>) -> io::Result<Self> {
        let workspace = workspace.canonicalize()?;
        let dir = Dir::open_ambient_dir(&workspace, ambient_authority())?;
        let inner = Inner { workspace, wide, dir, changing: Arc::default(), newer: Mutex::default() };
        Ok(Self { inner: Arc::new(inner), approved: false })
    }

    /// A handle through which a person's approval reaches also what runs by itself later.
    #[must_use]
    pub fn approved(&self, approved: bool) -> Self {
        Self { inner: Arc::clone(&self.inner), approved }
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
        self.change(Wish::Write { path, content }, Uuid::new_v4(), |_, _| Ok(())).await
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
        self.change(Wish::Edit { path, old_text, new_text }, Uuid::new_v4(), |_, _| Ok(())).await
    }

    /// Makes a change under a name of its own. `announce` is called when all is prepared, just before it is made: by what
    /// it is told, [`Self::was_made`] can later say whether it was, also in another life of the runner. If it fails,
    /// nothing is changed. It runs on a thread that may block.
    ///
    /// # Errors
    /// As for writing and editing, and those of `announce`.
    pub async fn change<A>(&self, wish: Wish, name: Uuid, announce: A) -> Result<FileChange, Problem>
    where
        A: FnOnce(&Intent, &FileChange) -> Result<(), Problem> + Send + 'static,
    {
        let approved = self.approved;
        self.run(move |inner| {
            let _one_at_a_time = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
            if !approved {
                let path = wish.path();
                asks::ask_first(&inner.dir, inner.wide.as_deref(), &inner.relative(path)?, path)?;
            }
            match wish {
                Wish::Write { path, content } => inner.write(&path, &content, name, announce),
                Wish::Edit { path, old_text, new_text } => {
                    inner.edit(&path, &old_text, &new_text, name, announce)
                }
            }
        })
        .await
    }

    /// Whether a change that was announced was made. If it was not, what was prepared for it is removed. `None` if it
    /// belongs to another workspace.
    ///
    /// # Errors
    /// The system does not let the file be looked at.
    pub async fn was_made(&self, intent: Intent) -> Result<Option<bool>, Problem> {
        self.run(move |inner| {
            if intent.workspace != inner.workspace {
                return Ok(None);
            }
            let _one_at_a_time = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let path = intent.target.to_string_lossy();
            intent.was_made(&inner.dir).map(Some).map_err(|error| system(&path, &error))
        })
        .await
    }

    async fn run<T, W>(&self, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> Result<T, Problem> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&*inner.current()?))
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

    fn write<A>(&self, path: &str, content: &str, name: Uuid, announce: A) -> Result<FileChange, Problem>
    where
        A: FnOnce(&Intent, &FileChange) -> Result<(), Problem>,
    {
        let relative = self.target(path)?;
        let before = match self.old(&relative, path) {
            Ok(before) => Some(before),
            Err(problem) if problem.code == ProblemCode::NotFound => None,
            Err(problem) => return Err(problem),
        };
        let old = before.as_ref().and_then(|old| old.as_deref().ok());
        let (content, note) = lines::fitted(old.unwrap_or_default(), content);
        let diff = match &before {
            None => Change::between(&relative, None, &content),
            Some(Ok(old)) => Change::between(&relative, Some(old), &content),
            Some(Err(reason)) => Change {
                added: content.lines().count() as u64,
                removed: 0,
                diff: format!("(No diff: what was there {reason}.)\n"),
            },
        };
        let change = diff.of(&relative, before.is_none(), note);
        self.replace(&relative, path, &content, name, |intent| announce(intent, &change))?;
        Ok(change)
    }

    fn edit<A>(
        &self,
        path: &str,
        old_text: &str,
        new_text: &str,
        name: Uuid,
        announce: A,
    ) -> Result<FileChange, Problem>
    where
        A: FnOnce(&Intent, &FileChange) -> Result<(), Problem>,
    {
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
        let relative = self.target(path)?;
        let old = self.old(&relative, path)?.map_err(|reason| {
            let code = if reason.contains("bytes") { ProblemCode::TooLarge } else { ProblemCode::NotText };
            Problem::new(code, format!("{path} {reason}, so it cannot be edited. Use a command."))
        })?;
        let new = lines::edited(&old, old_text, new_text).ok_or_else(|| no_match(path, &old, old_text))?;
        let change = Change::between(&relative, Some(&old), &new).of(&relative, false, None);
        self.replace(&relative, path, &new, name, |intent| announce(intent, &change))?;
        Ok(change)
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

    fn replace(
        &self,
        relative: &Path,
        path: &str,
        content: &str,
        name: Uuid,
        announce: impl FnOnce(&Intent) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
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
            // A named pipe that came there meanwhile would block its writer for ever.
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
            drop(self.dir.open_with(relative, &options).map_err(refused)?);
        }
        let folder = relative.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            self.dir.create_dir_all(folder).map_err(refused)?;
        }
        let beside = relative.with_file_name(format!(".meanwhile-{}.tmp", name.simple()));
        let discard = |problem| {
            // It may not have come to be.
            let _none = self.dir.remove_file(&beside);
            problem
        };
        let written = (|| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            if old.is_some() {
                // The old mode follows; until then nobody else needs to see it.
                options.mode(0o600);
            }
            let mut file = match self.dir.open_with(&beside, &options) {
                // The same change was being prepared when an earlier runner died.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.dir.remove_file(&beside)?;
                    self.dir.open_with(&beside, &options)?
                }
                opened => opened?,
            };
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
            file.sync_all()
        })();
        written.map_err(|error| discard(refused(error)))?;
        let intent = Intent {
            workspace: self.workspace.clone(),
            target: relative.to_owned(),
            beside: beside.clone(),
            before: old.as_ref().map(Identity::of),
            after: intent::digest(content.as_bytes()),
        };
        announce(&intent).map_err(discard)?;
        self.dir.rename(&beside, &self.dir, relative).map_err(|error| discard(refused(error)))?;
        let folder = self.dir.open_dir(folder.unwrap_or_else(|| Path::new("."))).map(Dir::into_std_file);
        // Some file systems cannot flush a folder; there the system does it when it does.
        let _unflushed = folder.and_then(|folder| folder.sync_all());
        Ok(())
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

/// Skips to behind the next line end, and gives how many bytes that was.
fn skip_line(reader: &mut BufReader<File>) -> io::Result<usize> {
    reader.skip_until(b'\n')
}
