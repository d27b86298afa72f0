//! What is said over the control socket: one JSON object a line, a request and its answer.
//!
//! ```text
//! -> {"version":1,"request":"addr"}
//! <- {"version":1,"answer":{"addr":[{"name":"netloom0", ...}]}}
//! -> {"version":1,"request":"dance"}
//! <- {"version":1,"answer":{"refused":{"kind":"unknown-request","text":"..."}}}
//! ```
//!
//! The number changes when what was understood before would be misunderstood; what is only added is a further variant of
//! [`Request`] and [`Answer`], which a daemon that does not know it refuses by name.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::interface_report::InterfaceReport;

/// The language's number.
const VERSION: u32 = 1;

/// Longest request in bytes, with its line break.
pub(crate) const REQUEST_LEN_MAX: usize = 4096;
/// Longest answer in bytes, with its line break. All addresses that a stack may have take some tens of kilobytes.
pub(crate) const ANSWER_LEN_MAX: u64 = 1 << 20;

/// What a daemon can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Its interfaces and the stack's addresses.
    Addr,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// To [`Request::Addr`].
    Addr(Vec<InterfaceReport>),
    /// It does not do what was asked.
    Refused(Refusal),
}

/// Why it does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// For programs.
    pub(crate) kind: RefusalKind,
    /// For people: one line.
    pub(crate) text: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefusalKind {
    /// Not a JSON object with `version` and `request`.
    BadRequest,
    /// Another number than the daemon's.
    UnsupportedVersion,
    /// A request that the daemon does not know.
    UnknownRequest,
    /// Longer than a request may be. The connection is closed.
    RequestTooLong,
    /// The client took too long to say what it wants. The connection is closed.
    TooSlow,
    /// As many clients as there may be. The connection is closed.
    TooManyClients,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, text: impl fmt::Display) -> Self {
        Self { kind, text: text.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is around every request; the request itself is looked at when the number is known to be ours.
#[derive(Deserialize, Serialize)]
struct RequestLine<T> {
    version: u32,
    request: T,
}

/// What is around every answer.
#[derive(Deserialize, Serialize)]
struct AnswerLine<T> {
    version: u32,
    answer: T,
}

/// Reads a line that a client sent.
pub(crate) fn parse_request(line: &[u8]) -> Result<Request, Refusal> {
    let RequestLine { version, request } =
        serde_json::from_slice::<RequestLine<Value>>(line).map_err(|error| {
            Refusal::new(RefusalKind::BadRequest, format_args!("a request is {EXAMPLE}: {error}"))
        })?;
    if version != VERSION {
        let text = format_args!("this daemon speaks version {VERSION}, not {version}");
        return Err(Refusal::new(RefusalKind::UnsupportedVersion, text));
    }
    Request::deserialize(&request).map_err(|error| {
        Refusal::new(
            RefusalKind::UnknownRequest,
            format_args!("this daemon does not know {request}: {error}"),
        )
    })
}

/// What a request looks like, for whoever types one.
const EXAMPLE: &str = r#"{"version":1,"request":"addr"}"#;

/// The line that asks for `request`.
pub(crate) fn emit_request(request: Request) -> serde_json::Result<Vec<u8>> {
    emit_line(&RequestLine { version: VERSION, request })
}

/// The line that says `answer`.
pub(crate) fn emit_answer(answer: &Answer) -> serde_json::Result<Vec<u8>> {
    emit_line(&AnswerLine { version: VERSION, answer })
}

/// Reads a daemon's line; the error is one line of text.
pub(crate) fn parse_answer(line: &[u8]) -> Result<Answer, String> {
    let AnswerLine { version, answer } = serde_json::from_slice::<AnswerLine<Value>>(line)
        .map_err(|error| format!("its answer cannot be read: {error}"))?;
    if version != VERSION {
        return Err(format!("it speaks version {version}, this program {VERSION}"));
    }
    Answer::deserialize(&answer).map_err(|error| format!("its answer is not understood: {error}"))
}

fn emit_line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface_report::samples;

    #[test]
    fn what_is_emitted_is_parsed() {
        let line = emit_request(Request::Addr).unwrap();
        assert_eq!(line, [EXAMPLE.as_bytes(), b"\n"].concat());
        assert_eq!(parse_request(&line), Ok(Request::Addr));
        let refusal = Refusal::new(RefusalKind::TooSlow, "x\ny");
        for answer in [Answer::Addr(vec![samples::tap()]), Answer::Addr(vec![]), Answer::Refused(refusal)] {
            let line = emit_answer(&answer).unwrap();
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1, "a line is one line");
            assert_eq!(parse_answer(&line), Ok(answer));
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let deep = format!(r#"{{"version":1,"request":{}"#, "[".repeat(4000));
        for (line, kind) in [
            ("", RefusalKind::BadRequest),
            ("addr", RefusalKind::BadRequest),
            ("[]", RefusalKind::BadRequest),
            ("{}", RefusalKind::BadRequest),
            (r#"{"request":"addr"}"#, RefusalKind::BadRequest),
            (r#"{"version":"1","request":"addr"}"#, RefusalKind::BadRequest),
            (r#"{"version":-1,"request":"addr"}"#, RefusalKind::BadRequest),
            ("\u{0}\u{1}\u{fffd}", RefusalKind::BadRequest),
            (&deep, RefusalKind::BadRequest),
            (r#"{"version":2,"request":"addr"}"#, RefusalKind::UnsupportedVersion),
            (r#"{"version":1,"request":"dance"}"#, RefusalKind::UnknownRequest),
            (r#"{"version":1,"request":{"addr":1}}"#, RefusalKind::UnknownRequest),
            (r#"{"version":1,"request":7}"#, RefusalKind::UnknownRequest),
        ] {
            assert_eq!(parse_request(line.as_bytes()).unwrap_err().kind, kind, "{line}");
        }
        assert_eq!(parse_request(&[0xff, b'\n']).unwrap_err().kind, RefusalKind::BadRequest);
    }

    #[test]
    fn an_answer_of_another_version_is_not_guessed_at() {
        for line in ["", "{}", r#"{"version":2,"answer":{"addr":[]}}"#, r#"{"version":1,"answer":{"x":1}}"#] {
            assert!(parse_answer(line.as_bytes()).is_err(), "{line}");
        }
    }
}
