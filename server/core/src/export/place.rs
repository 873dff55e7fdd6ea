//! Places as relative URIs.

use crate::location::Location;

use super::package::encoded;

/// A file's URI: relative for a label that is, else a `file:` URI, so that nothing is lost.
pub(super) fn file_uri(path: &str) -> String {
    let uri = encoded(path, b"/");
    if uri.starts_with('/') {
        format!("file://{uri}")
    } else {
        uri
    }
}

/// A relative URI for a place that is no file: code hosts want one of every result, and refuse all of a file's
/// results for one with a scheme that is not their own. Distinct kinds of places never share one.
pub(super) fn stand_in(place: Option<&Location>) -> String {
    let Some(place) = place else {
        return "no-place".to_owned();
    };
    match place {
        Location::File { path, .. } if !path.is_empty() => file_uri(path),
        _ => {
            let label = place.label();
            let label = label.replacen("://", "/", 1);
            format!("{}/{}", place.kind(), encoded(&label, b"/"))
        }
    }
}

/// Whether a text with a scheme can stand where a URI must, as it is.
pub(super) fn is_uri(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte);
    text.bytes().all(is_allowed) && url::Url::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::Endpoint;

    #[test]
    fn every_path_is_a_uri_without_a_scheme_unless_it_is_absolute() {
        for (path, uri) in [
            ("src/a b.rs", "src/a%20b.rs"),
            ("c:d/e", "c%3Ad/e"),
            ("/etc/ü", "file:///etc/%C3%BC"),
        ] {
            assert_eq!(file_uri(path), uri);
        }
    }

    #[test]
    fn a_uri_has_a_scheme_and_no_odd_characters() {
        for (text, expected) in [
            ("https://shop.test/a?b=1#c", true),
            ("pkg:npm/%40shop/cart@1.0", true),
            ("https://shop.test/a b", false),
            ("https://shop.test/ü", false),
            ("shop.test/a", false),
        ] {
            assert_eq!(is_uri(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_file_has_a_relative_stand_in() {
        let endpoint = Location::Endpoint(Endpoint {
            host: "::1".into(),
            port: Some(443),
            protocol: None,
        });
        let url = Location::Url {
            url: "https://shop.test:8080/a?b=1".into(),
            method: None,
            parameter: None,
            evidence: None,
        };
        assert_eq!(stand_in(Some(&endpoint)), "endpoint/%5B%3A%3A1%5D%3A443");
        assert_eq!(stand_in(Some(&url)), "url/https/shop.test%3A8080/a%3Fb%3D1");
        assert_eq!(stand_in(None), "no-place");
    }
}
