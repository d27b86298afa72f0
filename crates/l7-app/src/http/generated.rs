//! Bodies that are made while they are sent: `/bytes/N`, `/range/N`, `/stream/N`.
//!
//! # Limits
//! One piece of 64 KiB at a time exists, whatever the length, and the next is made when the connection asks for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;

use crate::http::byte_range::RangeRequest;
use crate::http::inspect::RequestHead;
use crate::http::plain::BadRequest;
use crate::random::Random;

/// The longest body of `/bytes/N` and `/range/N`: 10 GiB.
pub const MAX_GENERATED_LEN: u64 = 10 << 30;
/// The most lines of `/stream/N`.
const MAX_LINES: u64 = 100_000;
const PIECE_LEN: usize = 64 << 10;

/// A body of known length whose bytes come from a rule.
#[derive(Debug)]
struct GeneratedBody {
    rule: Rule,
    remaining_len: u64,
}

#[derive(Debug)]
enum Rule {
    Random(Random),
    /// The letters a to z in a circle, of which the next is at this offset.
    Alphabet(u8),
}

impl Rule {
    fn fill(&mut self, piece: &mut [u8]) {
        match self {
            Self::Random(random) => random.fill(piece),
            Self::Alphabet(offset) => {
                for byte in piece {
                    *byte = b'a' + *offset;
                    *offset = (*offset + 1) % 26;
                }
            }
        }
    }
}

impl HttpBody for GeneratedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.remaining_len == 0 {
            return Poll::Ready(None);
        }
        let piece_len = usize::try_from(self.remaining_len).unwrap_or(usize::MAX).min(PIECE_LEN);
        let mut piece = vec![0; piece_len];
        self.rule.fill(&mut piece);
        self.remaining_len -= piece_len as u64;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining_len == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining_len)
    }
}

/// Reads N of `/bytes/N` and its kin.
fn parse_count(text: &str, limit: u64) -> Result<u64, BadRequest> {
    text.parse()
        .ok()
        .filter(|count| *count <= limit)
        .ok_or_else(|| BadRequest(format!("N is a whole number from 0 to {limit}, not {text}")))
}

/// `/bytes/N?seed=S`: N random bytes, the same ones for the same seed.
pub(crate) async fn bytes(
    Path(len): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, BadRequest> {
    let remaining_len = parse_count(&len, MAX_GENERATED_LEN)?;
    let random = match query.get("seed").map(|seed| seed.parse()) {
        Some(Ok(seed)) => Random::from_seed(seed),
        Some(Err(_)) => {
            return Err(BadRequest("seed is a whole number from 0 to 2^64-1".to_owned()));
        }
        None => Random::new(),
    };
    let body = Body::new(GeneratedBody { rule: Rule::Random(random), remaining_len });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))], body).into_response())
}

/// `/range/N`: N letters, whole or in the part that `Range` asks for (RFC 9110, section 14).
///
/// Several ranges in one request get the whole, which section 14.2 leaves to the server.
pub(crate) async fn range(
    Path(text): Path<String>,
    method: Method,
    request_headers: HeaderMap,
) -> Result<Response, BadRequest> {
    let len = parse_count(&text, MAX_GENERATED_LEN)?;
    let etag = format!("\"range{len}\"");
    let requested = requested_range(&method, &request_headers, &etag, len);
    let (status, range, content_range) = match requested {
        RangeRequest::Whole => (StatusCode::OK, 0..len, None),
        RangeRequest::Part(range) => {
            let content_range = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, range, Some(content_range))
        }
        RangeRequest::Unsatisfiable => {
            (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(format!("bytes */{len}")))
        }
    };
    let offset = u8::try_from(range.start % 26).unwrap_or_default();
    let body = GeneratedBody { rule: Rule::Alphabet(offset), remaining_len: range.end - range.start };
    let mut response = (status, Body::new(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.extend(HeaderValue::from_str(&etag).ok().map(|value| (header::ETAG, value)));
    let content_range = content_range.and_then(|text| HeaderValue::from_str(&text).ok());
    headers.extend(content_range.map(|value| (header::CONTENT_RANGE, value)));
    Ok(response)
}

/// The range to send: only GET has ranges (RFC 9110, section 14.2), and only while `If-Range` holds (section 13.1.5).
fn requested_range(method: &Method, headers: &HeaderMap, etag: &str, len: u64) -> RangeRequest {
    let header = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let is_current = headers.get(header::IF_RANGE).is_none_or(|validator| validator == etag);
    match header {
        Some(header) if *method == Method::GET && is_current => RangeRequest::parse(header, len),
        Some(_) | None => RangeRequest::Whole,
    }
}

/// One line of `/stream/N`.
#[derive(Serialize)]
struct Line<'a> {
    id: u64,
    #[serde(flatten)]
    request: &'a RequestHead,
}

/// `/stream/N`: N JSON documents, a line each, as one chunk each.
pub(crate) async fn stream_lines(
    Path(count): Path<String>,
    request: Request,
) -> Result<Response, BadRequest> {
    let count = parse_count(&count, MAX_LINES)?;
    let head = RequestHead::of(&request.into_parts().0);
    let lines = stream::iter((0..count).map(move |id| {
        let mut line = serde_json::to_vec(&Line { id, request: &head })?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Frame::data(Bytes::from(line)))
    }));
    let body = Body::new(StreamBody::new(lines));
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}
