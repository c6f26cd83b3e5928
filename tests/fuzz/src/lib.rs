//! Each parser that meets foreign bytes, as a function of bytes that panics if something is wrong.
//!
//! [`TARGETS`] is used twice: the test `seeded` runs every target on mangled seeds in the ordinary test
//! suite, on any toolchain; the crate in `coverage/` gives each to libFuzzer, which needs a nightly one and
//! finds its own way.

#![expect(clippy::unwrap_used, reason = "a target fails by panicking, as a test does")]

mod admission;
mod disk;
// The page's own, compiled in from its source: the page as a whole would bring its user interface along.
#[path = "../../../frontend/src/terminal.rs"]
#[doc(hidden)]
pub mod terminal;

/// What that needs of the page's own, which asks the browser for some.
mod format {
    pub(crate) fn bytes(count: u64) -> String {
        format!("{count} bytes")
    }
}
mod text;
mod wire;

pub use admission::gets_in;

/// One parser.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// What it should read, to be mangled.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many times as long as the others it takes.
    pub weight: u32,
}

/// All of them.
pub const TARGETS: [Target; 11] = [
    Target { name: "socket_frames", run: wire::frames, seeds: wire::frame_seeds, weight: 1 },
    Target { name: "agent_wire", run: wire::agent, seeds: wire::agent_seeds, weight: 1 },
    Target { name: "exit_files", run: wire::exit_file, seeds: wire::exit_seeds, weight: 1 },
    Target { name: "log_entries", run: wire::entry, seeds: wire::entry_seeds, weight: 1 },
    Target { name: "gate", run: admission::gate, seeds: admission::gate_seeds, weight: 1 },
    Target { name: "relay", run: admission::relay, seeds: admission::relay_seeds, weight: 1 },
    Target { name: "files", run: disk::files, seeds: disk::file_seeds, weight: 10 },
    Target { name: "store", run: disk::store, seeds: disk::store_seeds, weight: 50 },
    Target { name: "output_for_models", run: text::model, seeds: text::output_seeds, weight: 1 },
    Target { name: "output_for_people", run: text::page, seeds: text::output_seeds, weight: 2 },
    Target { name: "model_stream", run: text::stream, seeds: text::stream_seeds, weight: 2 },
];

/// Runs one by its name.
///
/// # Panics
/// If there is none, or it finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(bytes);
}

/// The first byte as a choice, and the rest.
fn choice(bytes: &[u8]) -> (usize, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (usize::from(*first), rest))
}
