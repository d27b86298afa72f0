//! Answers that are one plain line or one JSON document.

use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// `status` with `line` and a newline as its body.
pub(crate) fn plain(status: StatusCode, line: impl Display) -> Response {
    (status, format!("{line}\n")).into_response()
}

/// 200 with `value` as indented JSON and a newline, so that it can be read in a terminal.
pub(crate) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// A request that an endpoint does not understand; answered with 400 and this line.
#[derive(Debug)]
pub(crate) struct BadRequest(pub(crate) String);

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        plain(StatusCode::BAD_REQUEST, self.0)
    }
}
