//! The runner.
pub mod page;
/// Replaced by its own file together with the tasks.
pub mod shim {
    use std::process::ExitCode;

    /// The supervisor of one task.
    pub fn main() -> ExitCode {
        ExitCode::FAILURE
    }
}
