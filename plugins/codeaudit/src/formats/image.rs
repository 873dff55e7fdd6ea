//! Names of container images, as the tools write down what they looked at.

/// Words that stand in front of an image's name and say where it was fetched from.
const SOURCES: [&str; 5] = ["registry:", "docker:", "podman:", "containerd:", "oci-registry:"];
/// How names of files end that hold an image.
const ARCHIVES: [&str; 4] = [".tar", ".tgz", ".tar.gz", ".tar.zst"];
/// Words in front of what is no image of a registry.
const ELSEWHERE: [&str; 6] = [
    "docker-archive:",
    "oci-archive:",
    "oci-dir:",
    "singularity:",
    "dir:",
    "file:",
];
/// The longest that a registry takes.
const NAME_BYTES_MAX: usize = 255;

/// The image without its tag and digest, because the next build of it is the same target; none for what is no name of an
/// image, such as the path of an archive.
pub(super) fn repository(text: &str) -> Option<&str> {
    let text = text.trim();
    let source = SOURCES.iter().find_map(|source| text.strip_prefix(source));
    // `docker:24` is an image
    let text = source
        .filter(|rest| rest.contains([':', '/', '@']))
        .unwrap_or(text);
    let is_elsewhere = ELSEWHERE.iter().any(|start| text.starts_with(start)) || text.contains('\\');
    if is_elsewhere || ARCHIVES.iter().any(|end| text.ends_with(end)) {
        return None;
    }
    let name = text.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let tag = name.get(last..).and_then(|part| part.find(':'));
    let name = tag.map_or(name, |colon| name.get(..last + colon).unwrap_or_default());
    is_repository(name).then_some(name)
}

/// By the grammar of registries: parts of small letters, digits and marks between them; the first may have a port.
fn is_repository(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_part = |(index, part): (usize, &str)| {
        let bytes = part.as_bytes();
        let fits = |byte: &u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || b"._-".contains(byte)
                || index == 0 && (*byte == b':' || byte.is_ascii_uppercase())
        };
        is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(fits)
    };
    name.len() <= NAME_BYTES_MAX && name.split('/').enumerate().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn an_image_is_known_without_tag_and_digest() {
        for (text, name) in [
            ("alpine:3.19", Some("alpine")),
            ("alpine", Some("alpine")),
            (
                "localhost:5000/team/shop:1.2@sha256:ab12",
                Some("localhost:5000/team/shop"),
            ),
            ("registry.test/shop@sha256:ab12", Some("registry.test/shop")),
            ("registry:alpine:3.19", Some("alpine")),
            ("docker:24", Some("docker")),
            ("docker:library/shop", Some("library/shop")),
            ("/ci/build/image.tar", None),
            ("./image", None),
            ("image.tar", None),
            ("docker-archive:/ci/shop", None),
            ("oci-dir:shop", None),
            ("C:\\ci\\shop", None),
            ("", None),
            (":tag", None),
        ] {
            assert_eq!(repository(text), name, "{text}");
        }
    }
}
