//! `tamiz plugin key`: keys that plugins are signed with, and reading their files.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::super::{CliError, answer};
use super::registry_access::failed;
use crate::oci::{OciError, PrivateKey, PublicKey};

/// A key's file has less than 200 bytes.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// Nobody but its owner reads a private key.
const PRIVATE_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// What can be done about keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key pair to sign plugins with: NAME.key to keep, NAME.pub to give away
    #[command(after_help = "\
Examples:
  tamiz plugin key generate acme
  tamiz plugin key generate ~/.config/tamiz/release")]
    Generate {
        /// Where the two files go, without their endings
        name: PathBuf,
    },
}

pub(super) fn run(command: &KeyCommand) -> Result<(), CliError> {
    let KeyCommand::Generate { name } = command;
    let key = PrivateKey::generate();
    let public = key.public();
    let (private_path, public_path) = (with_ending(name, "key"), with_ending(name, "pub"));
    let (private_pem, public_pem) = key
        .to_pem()
        .and_then(|private| Ok((private, public.to_pem()?)))
        .map_err(|error| failed(&error))?;
    write_new(&private_path, private_pem.as_ref(), PRIVATE_MODE)?;
    if let Err(error) = write_new(&public_path, public_pem.as_bytes(), PUBLIC_MODE) {
        // Half a pair is of no use, and would stand in the way of the next try.
        let _ = fs::remove_file(&private_path);
        return Err(error);
    }
    answer::print(&format!(
        "private key  {} (keep it secret)\npublic key   {}\nfingerprint  {}\n",
        private_path.display(),
        public_path.display(),
        public.fingerprint()
    ))
}

fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    PathBuf::from(path)
}

/// Writes a file that is not there yet: a lost private key cannot be had back.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    options
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))
}

/// The private key in a file.
///
/// # Errors
/// [`CliError::Usage`] when it cannot be read or is none.
pub(super) fn private(path: &Path) -> Result<PrivateKey, CliError> {
    read(path, PrivateKey::from_pem)
}

/// The public key in a file.
///
/// # Errors
/// [`CliError::Usage`] when it cannot be read or is none.
pub(super) fn public(path: &Path) -> Result<PublicKey, CliError> {
    read(path, PublicKey::from_pem)
}

/// The public keys in files, in their order.
///
/// # Errors
/// As [`public`].
pub(super) fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, CliError> {
    paths.iter().map(|path| public(path)).collect()
}

fn read<K>(path: &Path, parse: impl FnOnce(&str) -> Result<K, OciError>) -> Result<K, CliError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", path.display())))?;
    parse(&text).map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_pair_is_written_once_and_its_private_half_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("acme.v1");
        let command = KeyCommand::Generate { name: name.clone() };
        run(&command).unwrap();
        let key = private(&with_ending(&name, "key")).unwrap();
        assert_eq!(public(&with_ending(&name, "pub")).unwrap(), key.public());
        let mode = fs::metadata(folder.path().join("acme.v1.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, PRIVATE_MODE);

        assert!(run(&command).is_err(), "an existing key is not written over");
        assert_eq!(
            private(&with_ending(&name, "key")).unwrap().public(),
            key.public()
        );
    }

    #[test]
    fn half_a_pair_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("acme");
        fs::write(with_ending(&name, "pub"), "").unwrap();
        assert!(run(&KeyCommand::Generate { name: name.clone() }).is_err());
        assert!(!with_ending(&name, "key").exists());
    }
}
