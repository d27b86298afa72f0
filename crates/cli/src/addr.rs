//! `netloom addr`: the interfaces of the running stack, as `ip addr` shows the kernel's.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;

use crate::args::ShowOptions;
use crate::control::client;
use crate::control::protocol::{Answer, Request};
use crate::failure::Failure;
use crate::interface_report::InterfaceReport;

/// Asks, and prints what is answered.
pub(crate) fn run(options: &ShowOptions) -> Result<ExitCode, Failure> {
    let interfaces = match client::ask(Request::Addr)? {
        Answer::Addr(interfaces) => interfaces,
        Answer::Refused(refusal) => {
            return Err(Failure::new(format_args!("the daemon refuses: {refusal}")));
        }
    };
    let text = if options.json { json(&interfaces)? } else { paragraphs(&interfaces) };
    match stdout().lock().write_all(text.as_bytes()) {
        // A reader who has seen enough (`netloom addr | head -1`) is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format_args!("cannot print: {error}")))
        }
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

fn json(interfaces: &[InterfaceReport]) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(interfaces);
    text.map(|text| text + "\n").map_err(|error| Failure::new(format_args!("cannot print: {error}")))
}

fn paragraphs(interfaces: &[InterfaceReport]) -> String {
    let mut text = String::new();
    for (number, interface) in (1..).zip(interfaces) {
        // Writing to a string does not fail.
        let _ = write!(text, "{}", interface.numbered(number));
    }
    text
}
