//! The files that this program carries for new projects; `build.rs` makes the table.

/// Path and content of every embedded file, in the order of paths within a folder.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The files below a folder of the table, with their paths from it.
pub(super) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter_map(move |(path, bytes)| {
        let inner = path.strip_prefix(folder)?.strip_prefix('/')?;
        Some((inner, *bytes))
    })
}

/// One embedded file; empty when there is none, which a test rules out for each that is used.
pub(super) fn file(path: &str) -> &'static [u8] {
    let found = FILES.iter().find(|(name, _)| *name == path);
    found.map_or(&[], |(_, bytes)| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_project_needs_is_embedded() {
        for path in [
            "sdk/Cargo.toml",
            "sdk/src/lib.rs",
            "plugins/Cargo.lock",
            "wit/scanner.wit",
            "templates/shared/gitignore",
            "templates/shared/example.jsonl",
        ] {
            assert!(!file(path).is_empty(), "{path}");
        }
        for language in ["rust", "python", "javascript"] {
            assert!(below(&format!("templates/{language}")).count() >= 4, "{language}");
        }
    }

    #[test]
    fn the_sdk_needs_no_workspace() {
        let manifest = str::from_utf8(file("sdk/Cargo.toml")).unwrap();
        assert!(!manifest.contains("workspace = true"), "{manifest}");
    }
}
