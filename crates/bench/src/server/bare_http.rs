//! The least that answers HTTP requests without a body: it counts the ends of their heads.

/// What every request is answered with.
pub(crate) const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

const END: &[u8] = b"\r\n\r\n";

/// Finds the ends of heads in a stream, however it is cut.
#[derive(Default)]
pub(crate) struct HeadCounter {
    /// How many bytes of an end have come.
    matched: usize,
}

impl HeadCounter {
    /// How many heads end in the next `bytes`.
    pub(crate) fn count(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for &byte in bytes {
            if END.get(self.matched) == Some(&byte) {
                self.matched += 1;
            } else {
                self.matched = usize::from(byte == b'\r');
            }
            if self.matched == END.len() {
                self.matched = 0;
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_however_they_are_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\r\n\r\n";
        for cut in 0..text.len() {
            let mut heads = HeadCounter::default();
            assert_eq!(heads.count(&text[..cut]) + heads.count(&text[cut..]), 2, "cut at {cut}");
        }
        assert_eq!(HeadCounter::default().count(b"\r\n\n\r\n"), 0);
    }

    #[test]
    fn the_response_tells_its_length() {
        let text = std::str::from_utf8(RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }
}
