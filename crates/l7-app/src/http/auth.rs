//! `/basic-auth/U/P`: the Basic scheme (RFC 7617).

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::http::plain;

/// 200 to a client that gives the user and password of the path, 401 with a challenge to any other.
pub(crate) async fn basic(Path((user, password)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if credentials(&headers) == Some(format!("{user}:{password}").into_bytes()) {
        return plain::json(&json!({"authenticated": true, "user": user}));
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"netloom\"")]).into_response()
}

/// `user:password` as the client sent it.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(encoded.trim()).ok()
}
