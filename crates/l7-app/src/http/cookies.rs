//! `/cookies` and what sets and deletes them (RFC 6265).

use std::collections::BTreeMap;

use axum::extract::{RawQuery, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::plain::{json, plain};

/// `/cookies`: those that the client sent.
pub(crate) async fn list(request: Request) -> Response {
    json(&BTreeMap::from([("cookies", cookies(request.headers()))]))
}

/// `/cookies/set?k=v`: sets them, and sends the client on to see them.
pub(crate) async fn set(RawQuery(query): RawQuery) -> Response {
    redirect_with(query, |name, value| format!("{name}={value}; Path=/"))
}

/// `/cookies/delete?k`: deletes them, and sends the client on to see them gone.
pub(crate) async fn delete(RawQuery(query): RawQuery) -> Response {
    redirect_with(query, |name, _| format!("{name}=; Path=/; Max-Age=0"))
}

fn redirect_with(query: Option<String>, cookie: impl Fn(&str, &str) -> String) -> Response {
    let mut response = (StatusCode::FOUND, [(header::LOCATION, "/cookies")]).into_response();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let is_allowed = is_token(&name) && value.bytes().all(is_cookie_octet);
        let header = HeaderValue::from_str(&cookie(&name, &value)).ok().filter(|_| is_allowed);
        let Some(header) = header else {
            return plain(
                StatusCode::BAD_REQUEST,
                "a cookie's name and value hold no spaces, quotes, commas or semicolons",
            );
        };
        response.headers_mut().append(header::SET_COOKIE, header);
    }
    response
}

/// The pairs of every `Cookie` header.
fn cookies(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let pair = String::from_utf8_lossy(pair);
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// A token (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token_byte)
}

/// What a cookie's value is made of (RFC 6265, section 4.1.1).
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}
