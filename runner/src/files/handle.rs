//! The handle that the rest of the runner has: each call works on a thread that may block.

use std::io;
use std::path::Path;
use std::sync::Arc;

use shared::files::{FileChange, FileText};
use shared::{Problem, ProblemCode};
use uuid::Uuid;

use super::approval;
use super::journal::JournalEntry;
use super::problem::system;
use super::request::ChangeRequest;
use super::workspace::Workspace;

/// A handle; copies are cheap.
#[derive(Clone)]
pub struct Files {
    workspace: Arc<Workspace>,
    /// Whether a person allowed what is done through this handle.
    approved: bool,
}

impl Files {
    /// Takes hold of the workspace.
    ///
    /// # Errors
    /// It is not there, not a folder, or cannot be opened.
    pub fn open(workspace: &Path) -> io::Result<Self> {
        Self::open_as(workspace, None)
    }

    /// The same; [`super::wide`] may have said what the workspace is.
    ///
    /// # Errors
    /// As there.
    pub fn open_as(workspace: &Path, wide: Option<String>) -> io::Result<Self> {
        Ok(Self { workspace: Arc::new(Workspace::open(workspace, wide)?), approved: false })
    }

    /// A handle through which a person's approval reaches also what runs by itself later.
    #[must_use]
    pub fn approved(&self, approved: bool) -> Self {
        Self { workspace: Arc::clone(&self.workspace), approved }
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
        self.run(move |workspace| {
            workspace.read(&path, offset.unwrap_or(1).max(1), limit.unwrap_or(u64::MAX))
        })
        .await
    }

    /// Writes a whole file of at most 4 MiB, making folders as needed.
    ///
    /// # Errors
    /// Outside the workspace, too large, a folder or device, or refused by the system.
    pub async fn write(&self, path: String, content: String) -> Result<FileChange, Problem> {
        self.change(ChangeRequest::Write { path, content }, Uuid::new_v4(), |_, _| Ok(())).await
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
        self.change(ChangeRequest::Edit { path, old_text, new_text }, Uuid::new_v4(), |_, _| Ok(())).await
    }

    /// Makes a change under a name of its own. `journal` is called when all is prepared, just before it is
    /// made: by the entry that it is told, [`Self::was_made`] can later say whether it was, also in another
    /// life of the runner. If it fails, nothing is changed. It runs on a thread that may block.
    ///
    /// # Errors
    /// As for writing and editing, and those of `journal`.
    pub async fn change<J>(
        &self,
        wanted: ChangeRequest,
        name: Uuid,
        journal: J,
    ) -> Result<FileChange, Problem>
    where
        J: FnOnce(&JournalEntry, &FileChange) -> Result<(), Problem> + Send + 'static,
    {
        let approved = self.approved;
        self.run(move |workspace| {
            let _one_at_a_time = workspace.changing.lock();
            if !approved {
                let path = wanted.path();
                approval::ask_first(
                    &workspace.dir,
                    workspace.wide.as_deref(),
                    &workspace.relative(path)?,
                    path,
                )?;
            }
            match wanted {
                ChangeRequest::Write { path, content } => workspace.write(&path, &content, name, journal),
                ChangeRequest::Edit { path, old_text, new_text } => {
                    workspace.edit(&path, &old_text, &new_text, name, journal)
                }
            }
        })
        .await
    }

    /// Whether a journaled change was made. If it was not, what was prepared for it is removed. `None` if it
    /// belongs to another workspace.
    ///
    /// # Errors
    /// The system does not let the file be looked at.
    pub async fn was_made(&self, entry: JournalEntry) -> Result<Option<bool>, Problem> {
        self.run(move |workspace| {
            if entry.workspace != workspace.path {
                return Ok(None);
            }
            let _one_at_a_time = workspace.changing.lock();
            let path = entry.target.to_string_lossy();
            entry.was_made(&workspace.dir).map(Some).map_err(|error| system(&path, &error))
        })
        .await
    }

    async fn run<T, W>(&self, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: FnOnce(&Workspace) -> Result<T, Problem> + Send + 'static,
    {
        let workspace = Arc::clone(&self.workspace);
        tokio::task::spawn_blocking(move || work(&*workspace.current()?))
            .await
            .unwrap_or_else(|error| Err(Problem::new(ProblemCode::Internal, error.to_string())))
    }
}
