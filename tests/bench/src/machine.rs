//! The machine in words, with how busy it was and how fast its disk keeps a promise.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::figures::{Figures, millis};

pub(crate) struct Machine {
    lines: Vec<String>,
}

/// Writes of the disk's measure.
const SYNCS: usize = 200;

impl Machine {
    /// Looks at it, and at the disk that a folder is on.
    pub(crate) fn look(folder: &Path) -> io::Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let unknown = || String::from("unknown");
        let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown);
        let virtual_one =
            if read("/proc/cpuinfo").contains("hypervisor") { " of a virtual machine" } else { "" };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_else(unknown);
        let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
        let disk = sync_times(folder)?;
        Ok(Self {
            lines: vec![
                format!("Processor: {cores} cores{virtual_one}, {processor}"),
                format!("Memory: {memory}; kernel: {} {kernel}", std::env::consts::OS),
                format!(
                    "File system of the store: {}; a write of 8 KiB with `fdatasync` takes {} (99th percentile {})",
                    file_system(folder),
                    millis(disk.median()),
                    millis(disk.percentile(99)),
                ),
                format!("{}, {}", version("rustc"), version("python3")),
                format!("Load average at the beginning: {}", load()),
            ],
        })
    }

    /// How busy it is in the end.
    pub(crate) fn finish(&mut self) {
        self.lines.push(format!("Load average in the end: {}", load()));
    }

    pub(crate) fn as_markdown(&self) -> String {
        self.lines.iter().fold(String::from("## The machine\n\n"), |text, line| text + "- " + line + "\n")
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let text = text.unwrap_or_else(|_| format!("no {program}"));
    text.split(" (").next().unwrap_or_default().to_owned()
}

/// The type of the file system that holds a folder: that of the longest mount point above it.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    above.max().map_or_else(|| String::from("unknown"), |(_, kind)| kind.to_owned())
}

/// Milliseconds that it takes to have written.
fn sync_times(folder: &Path) -> io::Result<Figures> {
    let path = folder.join("sync");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let block = vec![1; 8192];
    let mut times = Vec::new();
    for turn in 0..SYNCS {
        file.write_all_at(&block, (turn as u64 % 32) * 8192)?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    fs::remove_file(path)?;
    Ok(Figures::new(times))
}
