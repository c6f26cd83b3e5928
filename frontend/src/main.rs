//! The page as a program.

fn main() {
    frontend::run();
}
