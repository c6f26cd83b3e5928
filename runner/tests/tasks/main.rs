//! Tasks, store and files with real processes and a real disk. One binary, since linking is slow.

mod common;
mod files;
mod supervision;
