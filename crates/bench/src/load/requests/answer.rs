//! The answer to a request for `/hello`, as its parts come.

use anyhow::{Context, Result, ensure};

/// What the answer carries.
const BODY: &[u8] = b"Hello, world!";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// The longest head, in bytes.
const HEAD_LEN_MAX: usize = 8 << 10;

/// What has come of an answer.
#[derive(Default)]
pub(super) struct Answer {
    text: Vec<u8>,
    /// Of the head with its end, and of the body, once the head is there.
    lens: Option<(usize, usize)>,
}

impl Answer {
    /// Takes what comes next; whether the answer is whole by that, after which the next one begins.
    ///
    /// # Errors
    /// What comes is not, or no more, the answer to one request for `/hello`.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool> {
        self.text.extend_from_slice(bytes);
        if self.lens.is_none() {
            self.lens = lens(&self.text)?;
        }
        let Some((head_len, body_len)) = self.lens else {
            ensure!(self.text.len() <= HEAD_LEN_MAX, "the head of an answer has no end");
            return Ok(false);
        };
        let body = self.text.get(head_len..).unwrap_or_default();
        ensure!(body.len() <= body_len, "more came than was asked for");
        if body.len() < body_len {
            return Ok(false);
        }
        ensure!(body == BODY, "an answer has another body");
        self.text.clear();
        self.lens = None;
        Ok(true)
    }
}

/// How long the head with its end is, and the body that it tells of, if the head is whole.
fn lens(text: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = text.windows(END_OF_HEAD.len()).position(|part| part == END_OF_HEAD) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(text.get(..end).unwrap_or_default()).context("the head of an answer")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    ensure!(status.split(' ').nth(1) == Some("200"), "an answer begins with {status:?}");
    let len = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .context("an answer does not tell its length")?;
    ensure!(len == BODY.len(), "an answer tells of {len} bytes");
    Ok(Some((end + END_OF_HEAD.len(), len)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::RESPONSE;

    const OTHER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length:13\r\nDate: today\r\n\r\nHello, world!";

    #[test]
    fn answers_are_whole_by_their_last_byte_however_they_are_cut() {
        for text in [RESPONSE, OTHER] {
            let mut answer = Answer::default();
            for cut in 1..text.len() {
                assert!(!answer.take(&text[..cut]).unwrap(), "cut at {cut}");
                assert!(answer.take(&text[cut..]).unwrap(), "cut at {cut}");
            }
            let (last, rest) = text.split_last().unwrap();
            assert!(rest.iter().all(|byte| !answer.take(&[*byte]).unwrap()));
            assert!(answer.take(&[*last]).unwrap());
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let check = |text: &str, expected: &str| {
            let error = Answer::default().take(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nHello, world!", "404");
        check("200\r\n\r\n", "an answer begins with \"200\"");
        check("HTTP/1.1 200 OK\r\n\r\nHello, world!", "does not tell its length");
        check("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "does not tell its length");
        check("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello, world", "tells of 12 bytes");
        check("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world?", "another body");
        check("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!HTTP", "more came");
        check(&"x".repeat(HEAD_LEN_MAX + 1), "no end");
    }
}
