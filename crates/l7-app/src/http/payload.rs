//! A request's body as httpbin shows it: raw data, form fields, files, or JSON.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde_json::Value;

/// One value, or the list of them where a name stands more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// The name's only value.
    One(String),
    /// Its values in their order.
    Many(Vec<String>),
}

/// Values by name.
pub(crate) type Fields = BTreeMap<String, OneOrMany>;

/// Gathers pairs by name.
pub(crate) fn fields(pairs: impl IntoIterator<Item = (String, String)>) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in pairs {
        match fields.remove(&name) {
            None => fields.insert(name, OneOrMany::One(value)),
            Some(OneOrMany::One(first)) => fields.insert(name, OneOrMany::Many(vec![first, value])),
            Some(OneOrMany::Many(mut values)) => {
                values.push(value);
                fields.insert(name, OneOrMany::Many(values))
            }
        };
    }
    fields
}

/// A body, taken apart by its `Content-Type`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Payload {
    /// The body as text, or as a `data:` URL where it is not UTF-8; empty where it was a form.
    data: String,
    files: Fields,
    form: Fields,
    /// The body as JSON, null where it is none.
    json: Value,
}

/// Why a body was not taken.
#[derive(Debug)]
pub(crate) enum PayloadError {
    /// Longer than this many bytes.
    TooLong(usize),
    /// The connection failed, or the framing was broken.
    Broken(String),
    /// Not the multipart form that the header promised.
    Multipart(multer::Error),
}

impl PayloadError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) | Self::Multipart(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => {
                write!(
                    formatter,
                    "bodies that are sent back end at {limit} bytes; POST /discard takes any length"
                )
            }
            Self::Broken(error) => write!(formatter, "the body did not arrive whole: {error}"),
            Self::Multipart(error) => write!(formatter, "not a multipart form: {error}"),
        }
    }
}

impl Error for PayloadError {}

impl Payload {
    /// Reads `body` up to `limit` bytes and takes it apart.
    pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Self, PayloadError> {
        let bytes = read_all(headers, body, limit).await?;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        if let Ok(boundary) = multer::parse_boundary(content_type) {
            return Self::of_multipart(bytes, boundary).await.map_err(PayloadError::Multipart);
        }
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let form = fields(form_urlencoded::parse(&bytes).into_owned());
            return Ok(Self { form, ..Self::default() });
        }
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Self { data: text_or_data_url(&bytes, "application/octet-stream"), json, ..Self::default() })
    }

    async fn of_multipart(bytes: Bytes, boundary: String) -> Result<Self, multer::Error> {
        let once = stream::iter([Ok::<_, Infallible>(bytes)]);
        let mut multipart = multer::Multipart::new(once, boundary);
        let (mut files, mut form) = (Vec::new(), Vec::new());
        while let Some(part) = multipart.next_field().await? {
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some();
            let media_type = part.content_type().map(ToString::to_string);
            let content = part.bytes().await?;
            let media_type = media_type.as_deref().unwrap_or("application/octet-stream");
            let group = if is_file { &mut files } else { &mut form };
            group.push((name, text_or_data_url(&content, media_type)));
        }
        Ok(Self { files: fields(files), form: fields(form), ..Self::default() })
    }
}

/// Takes the body in; one that announces more than `limit` is refused before a byte of it was read, so that a client
/// that waits for 100 Continue does not send it (RFC 9110, section 10.1.1).
async fn read_all(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, PayloadError> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|len| len > limit as u64) {
        return Err(PayloadError::TooLong(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(PayloadError::TooLong(limit)),
        Err(error) => Err(PayloadError::Broken(error.to_string())),
    }
}

fn text_or_data_url(bytes: &[u8], media_type: &str) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("data:{media_type};base64,{}", STANDARD.encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::{OneOrMany, fields, text_or_data_url};

    #[test]
    fn repeated_names_become_a_list_in_order() {
        let pairs = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")];
        let gathered = fields(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(gathered["b"], OneOrMany::One("2".to_owned()));
        assert_eq!(gathered["a"], OneOrMany::Many(["1", "3", "4"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn bytes_that_are_no_text_become_a_data_url() {
        assert_eq!(text_or_data_url("grüß".as_bytes(), "text/plain"), "grüß");
        assert_eq!(text_or_data_url(&[0xff, 0], "image/png"), "data:image/png;base64,/wA=");
    }
}
