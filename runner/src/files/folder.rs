//! The workspace as it is now. Its folder may be renamed and another made in its place while the runner runs; a handle
//! stays with the one that it was opened for.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _};
use shared::{Problem, ProblemCode};

use super::Inner;

impl Inner {
    /// With a handle on the folder that is at the workspace's path now.
    pub(super) fn current(self: &Arc<Self>) -> Result<Arc<Self>, Problem> {
        let mut newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        let held = newer.as_ref().unwrap_or(self);
        let workspace = self.workspace.display();
        let refuse = |words: String| Err(Problem::new(ProblemCode::System, words));
        let there = match self.workspace.canonicalize() {
            Ok(real) if real != self.workspace => {
                return refuse(format!(
                    "The workspace {workspace} has become a link to {}. Start the runner for the folder that is meant.",
                    real.display()
                ));
            }
            Ok(real) => fs::metadata(real),
            Err(error) => Err(error),
        };
        let there = match there {
            Ok(there) => there,
            Err(error) => {
                return refuse(format!(
                    "The workspace {workspace} is no longer there ({error}): it was renamed or removed. Make it again, \
                     or start the runner where it is now."
                ));
            }
        };
        if held.dir.dir_metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino())) {
            return Ok(Arc::clone(held));
        }
        let dir = match Dir::open_ambient_dir(&self.workspace, ambient_authority()) {
            Ok(dir) => dir,
            Err(error) => return refuse(format!("The workspace {workspace} cannot be opened: {error}.")),
        };
        tracing::warn!(
            "Another folder is the workspace {workspace} now; the file tools work in it from here on."
        );
        let current = Arc::new(Self {
            workspace: self.workspace.clone(),
            wide: self.wide.clone(),
            dir,
            changing: Arc::clone(&self.changing),
            newer: Mutex::default(),
        });
        *newer = Some(Arc::clone(&current));
        Ok(current)
    }
}
