//! `/status/CODE`, `/redirect/N`: answers whose point is their status.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::plain::plain;
use crate::random::Random;

/// The most redirects of `/redirect/N`.
const MAX_REDIRECTS: u32 = 100;
/// The most codes of one list.
const MAX_CODES: usize = 64;

/// `/status/CODE`: that status. Of a list, as `200,500` or with weights `200:9,500:1`, one at random.
pub(crate) async fn status(Path(list): Path<String>) -> Response {
    let Some(choices) = parse_choices(&list) else {
        let line = "CODE is a status from 200 to 599, or a list such as 200,500 or 200:9,500:1";
        return plain(StatusCode::BAD_REQUEST, line);
    };
    let status = choose(&choices, Random::new().unit());
    let mut response = status.into_response();
    let (name, value) = match status.as_u16() {
        301 | 302 | 303 | 305 | 307 | 308 => (header::LOCATION, "/redirect/1"),
        401 => (header::WWW_AUTHENTICATE, "Basic realm=\"netloom\""),
        407 => (header::PROXY_AUTHENTICATE, "Basic realm=\"netloom\""),
        _ => return response,
    };
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// Reads a list of codes with their weights; final statuses only, as a response that is not final ends nothing.
fn parse_choices(list: &str) -> Option<Vec<(StatusCode, f64)>> {
    let parse = |item: &str| {
        let (code, weight) = item.split_once(':').unwrap_or((item, "1"));
        let code: u16 = code.trim().parse().ok().filter(|code| (200..600).contains(code))?;
        let weight: f64 = weight.trim().parse().ok().filter(|weight| *weight >= 0.0 && *weight <= 1e9)?;
        Some((StatusCode::from_u16(code).ok()?, weight))
    };
    let choices: Vec<_> = list.split(',').take(MAX_CODES + 1).map(parse).collect::<Option<_>>()?;
    let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
    (choices.len() <= MAX_CODES && total > 0.0).then_some(choices)
}

/// The choice at `point` of 0.0..=1.0 along the weights laid end to end.
fn choose(choices: &[(StatusCode, f64)], point: f64) -> StatusCode {
    let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
    let mut distance = point * total;
    let mut chosen = StatusCode::OK;
    for (status, weight) in choices.iter().filter(|(_, weight)| *weight > 0.0) {
        chosen = *status;
        if distance < *weight {
            break;
        }
        distance -= weight;
    }
    chosen
}

/// `/redirect/N`: N redirects, then `/get`.
pub(crate) async fn redirect(Path(count): Path<String>) -> Response {
    let location = match count.parse() {
        Ok(1) => "/get".to_owned(),
        Ok(count @ 2..=MAX_REDIRECTS) => format!("/redirect/{}", count - 1),
        Ok(_) | Err(_) => {
            let line = format_args!("N is a whole number from 1 to {MAX_REDIRECTS}, not {count}");
            return plain(StatusCode::BAD_REQUEST, line);
        }
    };
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::{choose, parse_choices};

    #[test]
    fn lists_are_read_or_refused_whole() {
        for (list, count) in [
            ("200", Some(1)),
            ("200,500", Some(2)),
            ("200:9, 500:0.5", Some(2)),
            ("199", None),
            ("600", None),
            ("200,abc", None),
            ("200:-1", None),
            ("200:nan", None),
            ("200:0", None),
            ("", None),
            (&["200"; 65].join(","), None),
        ] {
            assert_eq!(parse_choices(list).map(|choices| choices.len()), count, "{list}");
        }
    }

    #[test]
    fn weights_share_the_line() {
        let choices = parse_choices("200:1,404:0,500:3").unwrap();
        for (point, status) in [(0.0, 200), (0.24, 200), (0.26, 500), (1.0, 500)] {
            assert_eq!(choose(&choices, point).as_u16(), status);
        }
    }
}
