//! What a component imports, in words: which capability an import belongs to, and what to do about one
//! that the host refuses.
//!
//! The host's allow list is the host's; here is only its explanation.

use tamiz_host::{CompileError, ComponentRefusal, PluginError};

/// What an allowed import is for, as a person reads it.
pub fn meaning(import: &str) -> &'static str {
    let (package, interface) = split(import);
    match (package, interface) {
        ("tamiz:scanner", "host") => "the platform",
        ("tamiz:scanner", "records") => "records, read by the platform",
        ("tamiz:scanner", "types") => "the model",
        ("wasi:sockets", _) => "capability network; without it every connection is refused",
        ("wasi:clocks", "types") => "types only",
        ("wasi:clocks", _) => "capability clock; without it the clock stands still",
        ("wasi:random", _) => "capability randomness; without it the bytes are constant",
        ("wasi:filesystem", _) => "provided empty: there are no files",
        ("wasi:cli", _) => "provided empty: no arguments, no environment; output becomes log lines",
        ("wasi:io", _) => "streams of the other WASI interfaces",
        _ => "not known",
    }
}

/// The capability that an import needs to be of use.
pub fn capability(import: &str) -> Option<&'static str> {
    match split(import) {
        ("wasi:sockets", _) => Some("network"),
        ("wasi:clocks", interface) if interface != "types" => Some("clock"),
        ("wasi:random", _) => Some("randomness"),
        _ => None,
    }
}

/// What the author can do about a component that the host refuses; `None` when its text says all.
pub fn refusal(error: &PluginError) -> Option<String> {
    let advice = match error {
        PluginError::Compile(CompileError::Refused(ComponentRefusal::ForbiddenImport { name })) => {
            return Some(forbidden(name));
        }
        PluginError::Compile(CompileError::Refused(ComponentRefusal::CoreModule)) => {
            "a plugin is a component: build it with `tamiz plugin build`, which links it with wasm-component-ld"
        }
        PluginError::Compile(CompileError::Refused(ComponentRefusal::TooMuch { .. })) => {
            "leave dependencies out that the plugin does not need; a generated table may be data instead of code"
        }
        PluginError::WrongWorld { .. } => {
            "the component does not fit the world: compare its sources with wit/scanner.wit"
        }
        PluginError::Describe(_) => {
            "`describe` runs before anything else and has nothing to read: it must only build its answer"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn forbidden(import: &str) -> String {
    let why = match split(import) {
        ("wasi:http", _) => {
            "no plugin speaks HTTP through the host: with the capability `network` use sockets (wasi:sockets)"
        }
        ("wasi:cli" | "wasi:clocks" | "wasi:filesystem" | "wasi:io" | "wasi:random" | "wasi:sockets", _) => {
            "this WASI interface is not offered in this version; build without WASI: leave `capabilities` empty in tamiz-plugin.toml, and in Rust use the target wasm32-unknown-unknown"
        }
        ("wasi:keyvalue" | "wasi:config" | "wasi:blobstore" | "wasi:logging" | "wasi:nn", _) => {
            "a plugin keeps nothing and asks nobody: what it needs comes in `inputs` and `options`"
        }
        ("tamiz:scanner", _) => {
            "this version of the world is not known to this tamiz: take a newer one, or build against its wit/scanner.wit"
        }
        _ => "no host offers it to plugins: remove the dependency that needs it",
    };
    format!("`{import}`: {why}")
}

/// `wasi:io/streams@0.2.6` is `wasi:io` and `streams`.
fn split(import: &str) -> (&str, &str) {
    let name = import.split('@').next().unwrap_or(import);
    name.split_once('/').unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_belong_to_capabilities() {
        assert_eq!(capability("wasi:sockets/tcp@0.2.6"), Some("network"));
        assert_eq!(capability("wasi:clocks/wall-clock@0.2.0"), Some("clock"));
        assert_eq!(capability("wasi:random/insecure@0.2.0"), Some("randomness"));
        assert_eq!(capability("wasi:filesystem/types@0.2.0"), None);
        assert_eq!(capability("tamiz:scanner/host@1.0.0"), None);
    }

    #[test]
    fn a_refused_import_is_named_with_what_to_do() {
        let refused = |name: &str| {
            let name = name.to_owned();
            let refusal = ComponentRefusal::ForbiddenImport { name };
            super::refusal(&PluginError::Compile(CompileError::Refused(refusal))).unwrap()
        };
        let http = refused("wasi:http/outgoing-handler@0.2.0");
        assert!(http.starts_with("`wasi:http/outgoing-handler@0.2.0`") && http.contains("wasi:sockets"));
        assert!(refused("env").contains("remove the dependency"));
    }
}
