//! Tasks, store and files with real processes and a real disk. One binary, since linking is slow.

mod common;
mod delivery;
mod files;
mod supervision;
