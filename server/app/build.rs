//! Embeds what `tamiz plugin new` writes: the templates, the worlds, the SDK's sources and the versions
//! that they are tested with. Generates a table of `(path, bytes)` for `author/sources.rs`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is embedded: its name in the table, and where it lies from this package's folder.
const EMBEDDED: &[(&str, &str)] = &[
    ("templates", "templates"),
    ("wit", "../../wit/v1"),
    ("sdk/Cargo.toml", "../../plugins/sdk/Cargo.toml"),
    ("sdk/src", "../../plugins/sdk/src"),
    ("plugins/Cargo.lock", "../../plugins/Cargo.lock"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let home = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    let mut table = String::from("&[\n");
    for (name, path) in EMBEDDED {
        let path = home.join(path);
        println!("cargo::rerun-if-changed={}", path.display());
        add(&mut table, name, &path)?;
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("sources.rs"), table)?;
    Ok(())
}

/// One file, or all below a folder in the order of their names.
fn add(table: &mut String, name: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    if !path.is_dir() {
        let path = fs::canonicalize(path)?;
        writeln!(
            table,
            "    ({name:?}, include_bytes!({:?})),",
            path.display().to_string()
        )?;
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let file_name = entry.file_name();
        let inner = file_name.to_str().ok_or("a file whose name is not UTF-8")?;
        add(table, &format!("{name}/{inner}"), &entry.path())?;
    }
    Ok(())
}
