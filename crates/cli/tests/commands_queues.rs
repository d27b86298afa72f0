//! The tests of `commands` that start a stack, with `--queues 2`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "commands/addr.rs"]
mod addr;
#[path = "commands/faults.rs"]
mod faults;
#[path = "commands/process.rs"]
mod process;
#[path = "commands/sandbox.rs"]
mod sandbox;
#[path = "commands/shell.rs"]
mod shell;
#[path = "commands/shell_terminal.rs"]
mod shell_terminal;
#[path = "commands/up.rs"]
mod up;
#[path = "commands/up_refusals.rs"]
mod up_refusals;
