//! Places written one way: paths, URLs and hosts as tools spell them differently.

use url::Url;

/// `/` as separator, no `./` in front.
pub fn path(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut rest = path.as_str();
    while let Some(shorter) = rest.strip_prefix("./") {
        rest = shorter.trim_start_matches('/');
    }
    rest.to_owned()
}

/// Host, port unless it is the scheme's own, and the path's template, without query and fragment; what is no URL
/// stays as it is up to these.
pub(crate) fn url_template(text: &str) -> String {
    let Some(url) = Url::parse(text).ok().filter(Url::has_host) else {
        return before_query(text).to_owned();
    };
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let segments = url.path().split('/').map(segment);
    format!("{host}{port}{}", segments.collect::<Vec<_>>().join("/"))
}

/// A URL up to its query or fragment.
pub(super) fn before_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

/// A host name or address, and its port; without one, 0.
pub(crate) fn endpoint(host: &str, port: Option<u16>) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    format!("{host}:{}", port.unwrap_or(0))
}

/// A path's part that names one of many things becomes a word for all of them.
fn segment(text: &str) -> &str {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = text.len() >= 16
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_digit());
    if is_number || is_hex { "{id}" } else { text }
}

/// The package URL without version, qualifiers and subpath (package-url specification, 1.0: `type/name@version?…#…`).
pub(super) fn package(url: &str) -> &str {
    let url = before_query(url);
    // a scope's `@` is written `%40`, and the version's is the last one behind the last `/`
    match url.rfind('@') {
        Some(at) if url.rfind('/').is_none_or(|slash| slash < at) => &url[..at],
        _ => url,
    }
}

/// White space folded, so that re-indented code stays itself.
pub(super) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_things_is_any_of_them() {
        let template =
            url_template("HTTP://Shop.test:80/users/42/orders/0190aa30-7c1e-7abc-8def-0123456789ab?x=1#y");
        assert_eq!(template, "shop.test/users/{id}/orders/{id}");
        assert_eq!(
            url_template("https://shop.test:8443/feedface"),
            "shop.test:8443/feedface"
        );
        assert_eq!(url_template("/relative?x=1"), "/relative");
    }

    #[test]
    fn a_package_is_known_without_its_version() {
        assert_eq!(
            package("pkg:npm/%40babel/core@7.0.0?x=1#y"),
            "pkg:npm/%40babel/core"
        );
        assert_eq!(package("pkg:npm/@babel/core"), "pkg:npm/@babel/core");
        assert_eq!(
            package("pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5"),
            "pkg:deb/debian/curl"
        );
    }

    #[test]
    fn paths_have_one_form() {
        assert_eq!(path(".\\src\\a.py"), "src/a.py");
        assert_eq!(path("././a.py"), "a.py");
        assert_eq!(path("../a.py"), "../a.py");
    }
}
