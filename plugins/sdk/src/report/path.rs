//! Paths of reports, made labels: relative to the scanned root, `/` as separator, one line.
//!
//! A path is never opened, so nothing here is a defence; it makes equal files look equal whatever
//! style the tool has, and keeps odd bytes out of terminals and tables.

use std::borrow::Cow;

use crate::limits::PATH_BYTES;
use crate::text::clean_line;

/// A path as a label.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// What is shown and compared.
    pub path: String,
    /// Whether more than the style was changed, so that the original is worth keeping.
    pub changed: bool,
}

/// Makes a label of a file system path.
pub fn label(raw: &str, root: Option<&str>) -> Label {
    let cleaned = clean_line(raw, PATH_BYTES);
    let odd = cleaned.cut || cleaned.text != raw;
    if root.is_none() && is_label(&cleaned.text) {
        return Label {
            path: cleaned.text,
            changed: odd,
        };
    }
    let (slashed, drive) = forward_slashes(&cleaned.text);
    let rootless = root.map_or(slashed.as_str(), |root| without_root(&slashed, root));
    let (path, escaped) = resolve(rootless);
    Label {
        path,
        changed: odd || drive || escaped,
    }
}

/// Whether a path is what most are: a label already. One pass, because there is one for each place.
fn is_label(path: &str) -> bool {
    let bytes = path.as_bytes();
    let (mut length, mut only_dots) = (0, true);
    for byte in bytes.iter().chain(b"/") {
        match byte {
            b'\\' => return false,
            // Nothing, `.` or `..`.
            b'/' if only_dots && length <= 2 => return false,
            b'/' => (length, only_dots) = (0, true),
            _ => {
                length += 1;
                only_dots &= *byte == b'.';
            }
        }
    }
    bytes.get(1) != Some(&b':')
}

/// Makes a label of a SARIF URI. `bases` are the absolute folders that the run's results are
/// relative to.
pub fn label_of_uri(uri: &str, root: Option<&str>, bases: &[String]) -> Label {
    match scheme(uri) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => {
            let path = file_path(&uri[scheme.len() + 1..]);
            let base = bases
                .iter()
                .filter(|base| is_under(&path, base))
                .max_by_key(|base| base.len());
            label(&path, base.map(String::as_str).or(root))
        }
        // A label in full: not a file, never fetched, never a link.
        Some(_) => {
            let cleaned = clean_line(uri, PATH_BYTES);
            let changed = cleaned.cut || cleaned.text != uri;
            Label {
                path: cleaned.text,
                changed,
            }
        }
        None => label(&percent_decoded(uri), root),
    }
}

/// Whether a URI has to be joined to a base: no scheme, and not from the top.
pub fn is_relative(uri: &str) -> bool {
    scheme(uri).is_none() && !uri.starts_with('/')
}

/// The path of an absolute `file:` URI; nothing for a relative or foreign one.
pub fn file_uri_path(uri: &str) -> Option<String> {
    let scheme = scheme(uri).filter(|scheme| scheme.eq_ignore_ascii_case("file"))?;
    Some(file_path(&uri[scheme.len() + 1..]))
}

/// The scheme of a URI. A single letter is a Windows drive.
fn scheme(uri: &str) -> Option<&str> {
    let scheme = uri.get(..uri.bytes().position(|byte| byte == b':')?)?;
    let fits = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    fits.then_some(scheme)
}

/// What follows `file:`: with or without an authority, which says nothing about the file's place.
fn file_path(rest: &str) -> String {
    let path = rest
        .strip_prefix("//")
        .map_or(rest, |after| after.find('/').map_or("", |slash| &after[slash..]));
    percent_decoded(path).into_owned()
}

/// Bytes that do not decode to UTF-8 become U+FFFD; a `%` without two digits stays.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let digits = (bytes[index] == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten();
        let byte = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(bytes[index]));
        index += if byte.is_some() { 3 } else { 1 };
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// Windows' separators, when it is a Windows path: a backslash is an ordinary character elsewhere.
fn forward_slashes(path: &str) -> (String, bool) {
    let bytes = path.as_bytes();
    let drive = bytes.len() > 1 && bytes[1] == b':' && bytes[0].is_ascii_alphabetic();
    let windows = drive || (path.contains('\\') && !path.contains('/'));
    let rest = if drive { &path[2..] } else { path };
    (
        if windows {
            rest.replace('\\', "/")
        } else {
            rest.to_owned()
        },
        drive,
    )
}

fn is_under(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn without_root<'path>(path: &'path str, root: &str) -> &'path str {
    let root = root.trim_end_matches('/');
    if is_under(path, root) {
        &path[root.len()..]
    } else {
        path
    }
}

/// Resolves `.`, `..` and doubled separators. A `..` at the top has nothing to go up to and is
/// dropped, and so is the separator in front of an absolute path; the first of these is told.
fn resolve(path: &str) -> (String, bool) {
    let mut kept: Vec<&str> = Vec::new();
    let mut escaped = false;
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => escaped |= kept.pop().is_none(),
            _ => kept.push(segment),
        }
    }
    (kept.join("/"), escaped)
}

#[cfg(test)]
mod tests {
    use super::{label, label_of_uri};

    #[track_caller]
    fn check(raw: &str, path: &str, changed: bool) {
        let seen = label(raw, None);
        assert_eq!((seen.path.as_str(), seen.changed), (path, changed));
    }

    #[test]
    fn paths_become_relative_labels() {
        check("src/app.py", "src/app.py", false);
        check("./src//app.py", "src/app.py", false);
        check("/src/app.py", "src/app.py", false);
        check("a/../b.py", "b.py", false);
        check("../../../../etc/passwd", "etc/passwd", true);
        check("C:\\Windows\\win.ini", "Windows/win.ini", true);
        check("dir\\file.c", "dir/file.c", false);
        check("dir/odd\\name.c", "dir/odd\\name.c", false);
        check("a\nb\u{0}c\u{1b}[31m.py", "a bc.py", true);
        check("", "", false);
        check("..", "", true);
        assert!(label(&"x/".repeat(5000), None).changed);
    }

    #[test]
    fn a_known_root_is_taken_off() {
        assert_eq!(label("/src/python/app.py", Some("/src/")).path, "python/app.py");
        assert_eq!(label("/srcs/app.py", Some("/src")).path, "srcs/app.py");
    }

    #[test]
    fn all_styles_of_uri_give_the_same_label() {
        let bases = ["/src/".to_owned()];
        for uri in [
            "python/app.py",
            "./python/app.py",
            "file:///src/python/app.py",
            "file:/src/python/app.py",
        ] {
            assert_eq!(label_of_uri(uri, None, &bases).path, "python/app.py", "{uri}");
        }
        assert_eq!(
            label_of_uri("file:///src/a%20b/%C3%A9.py", Some("/src"), &[]).path,
            "a b/é.py"
        );
        assert_eq!(
            label_of_uri("file://host/share/a.py", None, &[]).path,
            "share/a.py"
        );
        assert_eq!(
            label_of_uri("%2e%2e/%2e%2e/etc/passwd", None, &[]).path,
            "etc/passwd"
        );
        assert_eq!(label_of_uri("100%/x%zz%", None, &[]).path, "100%/x%zz%");
        assert_eq!(label_of_uri("%ff.py", None, &[]).path, "\u{fffd}.py");
    }

    #[test]
    fn other_schemes_stay_labels_in_full() {
        for uri in ["http://metadata.test/latest", "javascript:alert(1)"] {
            assert_eq!(label_of_uri(uri, None, &[]).path, uri);
        }
    }
}
