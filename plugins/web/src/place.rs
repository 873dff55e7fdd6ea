//! Places in web applications, as the tools write them.
//!
//! An address may carry a user and password; the password goes nowhere.

use tamiz_sdk::model::{Location, UrlLocation};

/// Stands for a password in an address, whatever its length.
const HIDDEN: &str = "********";

/// A place at an address; empty texts are none.
pub(crate) fn at(url: &str, method: &str, parameter: &str, evidence: &str) -> Location {
    Location::Url(UrlLocation {
        url: without_password(url.trim()),
        method: some(method).map(|method| method.to_ascii_uppercase()),
        parameter: some(parameter),
        evidence: some(evidence),
    })
}

fn some(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A path of a site, which is given by any of its addresses, as an address; an address stays one.
pub(crate) fn join(base: &str, path: &str) -> String {
    if path.contains("://") {
        return path.to_owned();
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{}{slash}{path}", origin(base))
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.split('/').next().unwrap_or_default();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    url.get(..scheme.len() + "://".len() + authority.len())
        .unwrap_or(url)
}

/// Host and port of an address, for places that are no pages.
pub(crate) fn host_and_port(address: &str) -> (String, Option<u32>) {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    match authority.rsplit_once(':') {
        // More colons without brackets are an IPv6 address by itself.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host.to_owned(), port.parse().ok().filter(|port| *port <= 65_535))
        }
        _ => (authority.to_owned(), None),
    }
}

fn without_password(url: &str) -> String {
    let before = origin(url);
    let Some((scheme, authority)) = before.split_once("://") else {
        return url.to_owned();
    };
    match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let name = user.split(':').next().unwrap_or_default();
            let rest = url.get(before.len()..).unwrap_or_default();
            format!("{scheme}://{name}:{HIDDEN}@{host}{rest}")
        }
        _ => url.to_owned(),
    }
}

/// The first line of a request, which says what was sent; the headers below it have cookies in them.
pub(crate) fn request_line(request: &str) -> &str {
    request.trim_start().lines().next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::{host_and_port, join, without_password};

    #[test]
    fn paths_become_addresses_of_their_site() {
        for (base, path, address) in [
            ("http://a.test:81/x?y", "/z", "http://a.test:81/z"),
            ("http://a.test", "z", "http://a.test/z"),
            ("http://a.test/", "https://b.test/", "https://b.test/"),
            ("", "/z", "/z"),
            ("a.test/x", "/z", "a.test/z"),
        ] {
            assert_eq!(join(base, path), address);
        }
    }

    #[test]
    fn passwords_in_addresses_are_hidden() {
        assert_eq!(
            without_password("http://user:hunter2@a.test/x@y:z"),
            "http://user:********@a.test/x@y:z"
        );
        assert_eq!(without_password("http://a.test/x@y"), "http://a.test/x@y");
        assert_eq!(without_password("http://a.test?x:@y"), "http://a.test?x:@y");
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("https://a.test:8443/x", "a.test", Some(8443)),
            ("a.test:22", "a.test", Some(22)),
            ("[::1]:22", "[::1]", Some(22)),
            ("2001:db8::1", "2001:db8::1", None),
            ("a.test", "a.test", None),
            ("a.test:99999", "a.test", None),
        ] {
            assert_eq!(host_and_port(text), (host.to_owned(), port), "{text}");
        }
    }
}
