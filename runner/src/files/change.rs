//! Reading, writing and editing, once it is known which workspace is meant.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use cap_std::fs::{
    Dir, File, MetadataExt as _, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _,
};
use rustix::fs::OFlags;
use shared::files::{FileChange, FileText};
use shared::{Problem, ProblemCode};
use thiserror::Error;
use uuid::Uuid;

use super::diff::Change;
use super::journal::{self, Identity, JournalEntry};
use super::lines;
use super::problem::{no_match, not_utf8, refuse_binary, system};
use super::request::{READ_BYTES, WRITE_BYTES};
use super::workspace::Workspace;

/// Bytes of a file that is read from, since its lines are counted.
const SCAN_BYTES: u64 = 256 * 1024 * 1024;

/// Why a file that is about to be changed has no text, as the end of a sentence that begins with its name.
#[derive(Debug, Error)]
enum NoText {
    #[error("has {0} bytes (more than {WRITE_BYTES})")]
    TooLong(u64),
    #[error("is binary")]
    Binary,
    #[error("is not valid UTF-8")]
    NotUtf8,
}

impl Workspace {
    pub(super) fn read(&self, path: &str, offset: u64, limit: u64) -> Result<FileText, Problem> {
        let relative = self.relative(path)?;
        let (file, length) = self.file(&relative, path)?;
        if length > SCAN_BYTES {
            let message = format!(
                "{path} has {length} bytes; files of at most {SCAN_BYTES} are read. Use a command such as sed -n or tail."
            );
            return Err(Problem::new(ProblemCode::TooLarge, message));
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
                    let message = format!(
                        "Line {total} of {path} has {length} bytes; at most {READ_BYTES} are read at once. Use a command such as cut -c."
                    );
                    return Err(Problem::new(ProblemCode::TooLarge, message));
                }
                full = true;
                continue;
            }
            text.extend_from_slice(&line);
            taken += 1;
        }
        if offset > total.max(1) {
            let message = format!("{path} has {total} lines, so there is no line {offset}.");
            return Err(Problem::new(ProblemCode::NotFound, message));
        }
        let text = String::from_utf8(text).map_err(|_| not_utf8(path))?;
        Ok(FileText { text, first_line: offset, total_lines: total, more: offset - 1 + taken < total })
    }

    pub(super) fn write<J>(
        &self,
        path: &str,
        content: &str,
        name: Uuid,
        journal: J,
    ) -> Result<FileChange, Problem>
    where
        J: FnOnce(&JournalEntry, &FileChange) -> Result<(), Problem>,
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
        self.replace(&relative, path, &content, name, |entry| journal(entry, &change))?;
        Ok(change)
    }

    pub(super) fn edit<J>(
        &self,
        path: &str,
        old_text: &str,
        new_text: &str,
        name: Uuid,
        journal: J,
    ) -> Result<FileChange, Problem>
    where
        J: FnOnce(&JournalEntry, &FileChange) -> Result<(), Problem>,
    {
        if old_text.is_empty() {
            let message =
                "old_text is empty. Give the text to replace, or use write_file to write the whole file.";
            return Err(Problem::new(ProblemCode::Malformed, message));
        }
        if old_text == new_text {
            return Err(Problem::new(
                ProblemCode::Malformed,
                "old_text and new_text are the same: nothing would change.",
            ));
        }
        let relative = self.target(path)?;
        let old = self.old(&relative, path)?.map_err(|reason| {
            let code = match reason {
                NoText::TooLong(_) => ProblemCode::TooLarge,
                NoText::Binary | NoText::NotUtf8 => ProblemCode::NotText,
            };
            Problem::new(code, format!("{path} {reason}, so it cannot be edited. Use a command."))
        })?;
        let new = lines::edited(&old, old_text, new_text).ok_or_else(|| no_match(path, &old, old_text))?;
        let change = Change::between(&relative, Some(&old), &new).of(&relative, false, None);
        self.replace(&relative, path, &new, name, |entry| journal(entry, &change))?;
        Ok(change)
    }

    /// The text of a file that is about to be changed, or why it has none.
    fn old(&self, relative: &Path, path: &str) -> Result<Result<String, NoText>, Problem> {
        let (file, length) = self.file(relative, path)?;
        if length > WRITE_BYTES as u64 {
            return Ok(Err(NoText::TooLong(length)));
        }
        let mut bytes = Vec::new();
        file.take(WRITE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| system(path, &error))?;
        Ok(match refuse_binary(path, &bytes) {
            Err(_) => Err(NoText::Binary),
            Ok(()) => String::from_utf8(bytes).map_err(|_| NoText::NotUtf8),
        })
    }

    fn replace(
        &self,
        relative: &Path,
        path: &str,
        content: &str,
        name: Uuid,
        journal: impl FnOnce(&JournalEntry) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if content.len() > WRITE_BYTES {
            let message = format!(
                "{path} would have {} bytes; at most {WRITE_BYTES} are written. Use a command.",
                content.len()
            );
            return Err(Problem::new(ProblemCode::TooLarge, message));
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
        let entry = JournalEntry {
            workspace: self.path.clone(),
            target: relative.to_owned(),
            beside: beside.clone(),
            before: old.as_ref().map(Identity::of),
            after: journal::digest(content.as_bytes()),
        };
        journal(&entry).map_err(discard)?;
        self.dir.rename(&beside, &self.dir, relative).map_err(|error| discard(refused(error)))?;
        let folder = self.dir.open_dir(folder.unwrap_or_else(|| Path::new("."))).map(Dir::into_std_file);
        // Some file systems cannot flush a folder; there the system does it when it does.
        let _unflushed = folder.and_then(|folder| folder.sync_all());
        Ok(())
    }
}

/// Skips to behind the next line end, and gives how many bytes that was.
fn skip_line(reader: &mut BufReader<File>) -> io::Result<usize> {
    reader.skip_until(b'\n')
}
