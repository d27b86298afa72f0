//! `POST /discard`: takes a body of any length and says how long it was.

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use sha2::{Digest, Sha256};

use crate::http::plain::plain;

/// Reads all of `body` in constant memory and answers `{"bytes": N}`, on one line.
///
/// With the query `?sha256` the answer is `{"bytes": N, "sha256": "HEX"}`, so that an upload can be compared with its
/// source.
pub(crate) async fn discard(RawQuery(query): RawQuery, mut body: Body) -> Response {
    let wants_digest =
        query.is_some_and(|query| query.split('&').any(|key| key == "sha256" || key == "sha256=1"));
    let mut digest = wants_digest.then(Sha256::new);
    let mut byte_count = 0_u64;
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                byte_count += data.len() as u64;
                if let Some(digest) = &mut digest {
                    digest.update(&data);
                }
            }
            Ok(Err(_trailers)) => {}
            Err(error) => {
                return plain(
                    StatusCode::BAD_REQUEST,
                    format_args!("the body broke off at {byte_count}: {error}"),
                );
            }
        }
    }
    let answer = match digest.map(|digest| hex(&digest.finalize())) {
        None => format!("{{\"bytes\": {byte_count}}}\n"),
        Some(digest) => format!("{{\"bytes\": {byte_count}, \"sha256\": \"{digest}\"}}\n"),
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], answer).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
