//! An artifact as an OCI image layout: a folder, or the same as one tar file.
//!
//! Owners, modes and dates are fixed, so the same artifact makes the same bytes anywhere.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Artifact, MANIFEST_TYPE, OciError};

const MODE: u32 = 0o644;

/// The files of the layout, in the order in which they are written.
fn files(artifact: &Artifact) -> Result<Vec<(String, Vec<u8>)>, OciError> {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": MANIFEST_TYPE,
            "digest": artifact.digest(),
            "size": artifact.manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": artifact.version },
        }],
    });
    let blob = |bytes: &Vec<u8>| {
        let digest = super::digest_of(bytes);
        (digest.replace("sha256:", "blobs/sha256/"), bytes.clone())
    };
    let mut blobs = vec![
        blob(&artifact.component),
        blob(&artifact.config),
        blob(&artifact.manifest),
    ];
    blobs.sort();
    let mut files = vec![
        (
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        ),
        ("index.json".to_owned(), serde_json::to_vec(&index)?),
    ];
    files.append(&mut blobs);
    Ok(files)
}

/// Writes the layout as a folder, which must not exist or be empty.
///
/// # Errors
/// [`OciError::Write`].
pub fn write_folder(artifact: &Artifact, folder: &Path) -> Result<(), OciError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OciError::Write { path, source }
    };
    fs::create_dir_all(folder.join("blobs/sha256")).map_err(failed(folder))?;
    for (name, bytes) in files(artifact)? {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(failed(&path))?;
    }
    Ok(())
}

/// Writes the layout as a tar file, whole or not at all.
///
/// # Errors
/// [`OciError::Write`].
pub fn write_tar(artifact: &Artifact, path: &Path) -> Result<(), OciError> {
    let files = files(artifact)?;
    write_whole(path, |file| {
        let mut archive = tar::Builder::new(file);
        for (name, bytes) in &files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(MODE);
            header.set_mtime(0);
            archive.append_data(&mut header, name, bytes.as_slice())?;
        }
        archive.finish()
    })
}

/// Writes a file beside its place and moves it there when it is complete.
fn write_whole(path: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> Result<(), OciError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let whole = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        write(file.as_file_mut())?;
        file.flush()?;
        rustix::fs::fchmod(file.as_file(), rustix::fs::Mode::from_raw_mode(MODE))?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    whole().map_err(|source| OciError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes `bytes`, whole or not at all.
///
/// # Errors
/// [`OciError::Write`].
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), OciError> {
    write_whole(path, |file| file.write_all(bytes))
}
