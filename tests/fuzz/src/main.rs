//! Gives files, such as those that libFuzzer found, to a target: `cargo run -p fuzz -- TARGET FILE…`.

use std::env;
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let target = arguments.next().and_then(|name| name.into_string().ok());
    let target = target.and_then(|name| fuzz::TARGETS.iter().find(|target| target.name == name));
    let files: Vec<_> = arguments.collect();
    let Some(target) = target.filter(|_| !files.is_empty()) else {
        let names: Vec<_> = fuzz::TARGETS.iter().map(|target| target.name).collect();
        return fails(&format!(
            "usage: cargo run -p fuzz -- TARGET FILE…   where TARGET is {}",
            names.join(", ")
        ));
    };
    for file in files {
        match fs::read(&file) {
            // It ends the program if it finds something.
            Ok(bytes) => (target.run)(&bytes),
            Err(error) => return fails(&format!("{}: {error}", file.display())),
        }
    }
    ExitCode::SUCCESS
}

fn fails(why: &str) -> ExitCode {
    let _told = std::io::Write::write_all(&mut std::io::stderr(), format!("{why}\n").as_bytes());
    ExitCode::FAILURE
}
