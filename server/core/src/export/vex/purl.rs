//! Package URLs, as far as two of them have to be compared (package-url specification).

/// Types whose names have no upper case.
const LOWER_CASE_TYPES: [&str; 8] = [
    "pypi",
    "github",
    "bitbucket",
    "composer",
    "hex",
    "deb",
    "apk",
    "alpm",
];

#[derive(Debug, PartialEq, Eq)]
struct Purl {
    kind: String,
    /// Namespace and name.
    name: String,
    version: Option<String>,
    qualifiers: Vec<(String, String)>,
}

/// Whether what is said of `stated` is said of `package`: the same name; the same version, unless `stated` has none;
/// and every qualifier of `stated`. Texts that are no package URLs cover themselves only.
pub(super) fn covers(stated: &str, package: &str) -> bool {
    let (Some(stated), Some(package)) = (parse(stated), parse(package)) else {
        return stated == package;
    };
    let same_version = stated.version.is_none() || stated.version == package.version;
    let has = |qualifier| package.qualifiers.contains(qualifier);
    stated.kind == package.kind
        && stated.name == package.name
        && same_version
        && stated.qualifiers.iter().all(has)
}

/// Whether it names a package, of which there are alerts. An image is a package URL, too, but a product.
pub(super) fn is_package(text: &str) -> bool {
    parse(text).is_some_and(|purl| !matches!(purl.kind.as_str(), "oci" | "docker"))
}

fn parse(text: &str) -> Option<Purl> {
    let rest = text.trim().strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, rest) = rest.split_once('/')?;
    let kind = kind.to_ascii_lowercase();
    // a scope's `@` stands before the last slash when it is not encoded
    let name_from = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, version) = match rest.rfind('@').filter(|at| *at > name_from) {
        Some(at) => (&rest[..at], Some(decoded(&rest[at + 1..]))),
        None => (rest, None),
    };
    let mut name = decoded(name.trim_matches('/'));
    if LOWER_CASE_TYPES.contains(&kind.as_str()) {
        name = name.to_lowercase();
    }
    if kind == "pypi" {
        name = name.replace('_', "-");
    }
    let version = version.filter(|version| !version.is_empty());
    let version = version.map(|version| match kind.as_str() {
        "golang" => version.strip_prefix('v').unwrap_or(&version).to_owned(),
        _ => version,
    });
    let qualifiers = qualifiers.split('&').filter_map(|one| one.split_once('='));
    let qualifiers = qualifiers.filter(|(_, value)| !value.is_empty());
    let qualifiers = qualifiers.map(|(key, value)| (key.to_ascii_lowercase(), decoded(value)));
    (!name.is_empty()).then(|| Purl {
        name,
        version,
        qualifiers: qualifiers.collect(),
        kind,
    })
}

/// Percent-decoded; a `%` without two digits stays, and what is no UTF-8 becomes U+FFFD.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let pair = bytes.get(index + 1..index + 3).filter(|_| bytes[index] == b'%');
        if let Some(byte) = pair.and_then(|pair| hex::decode(pair).ok()) {
            decoded.extend(byte);
            index += 3;
        } else {
            decoded.push(bytes[index]);
            index += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_package_is_covered_by_its_name_and_version_however_they_are_written() {
        for (stated, package, expected) in [
            ("pkg:npm/lodash@4.17.20", "pkg:npm/lodash@4.17.20", true),
            ("pkg:npm/lodash", "pkg:npm/lodash@4.17.20", true),
            ("pkg:npm/lodash@4.17.21", "pkg:npm/lodash@4.17.20", false),
            ("pkg:npm/lodash@4.17.20", "pkg:npm/lodash", false),
            ("pkg:npm/@shop/cart@1.0", "pkg:npm/%40shop/cart@1.0", true),
            ("pkg:npm/@shop/cart", "pkg:npm/%40shop/cart@1.0", true),
            ("pkg:PyPI/Flask_Login@1", "pkg:pypi/flask-login@1", true),
            (
                "pkg:golang/github.com/a/b@1.2.0",
                "pkg:golang/github.com/a/b@v1.2.0",
                true,
            ),
            (
                "pkg:deb/debian/apt@1.8?arch=amd64",
                "pkg:deb/debian/apt@1.8",
                false,
            ),
            (
                "pkg:deb/debian/apt@1.8?arch=amd64",
                "pkg:deb/debian/apt@1.8?arch=amd64&distro=12",
                true,
            ),
            ("pkg:deb/debian/apt@1.8%2Bx", "pkg:deb/debian/apt@1.8+x", true),
            ("pkg:npm/lodash@1#sub", "pkg:npm/lodash@1", true),
            ("pkg:npm/lodash", "pkg:pypi/lodash", false),
            ("lodash", "lodash", true),
            ("pkg:npm", "pkg:npm/lodash", false),
        ] {
            assert_eq!(covers(stated, package), expected, "{stated} {package}");
        }
    }
}
