//! Runs a wasm32 test binary: cargo starts this program with the binary's path and the test's arguments.
//!
//! It is `wasm-bindgen-test-runner`, linked as a library at the version of the lock file, so that nothing has
//! to be installed and the versions cannot part. A crate of its own, because only the tests need its HTTP
//! server and client, and `cargo xtask run` should not compile them.

fn main() -> anyhow::Result<()> {
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os())
}
