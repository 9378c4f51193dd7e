//! The binary: see the library's `cli` module for its options.

fn main() -> std::process::ExitCode {
    ratelimiter_node::main()
}
