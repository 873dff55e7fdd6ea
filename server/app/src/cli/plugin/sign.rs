//! `tamiz plugin sign` and `tamiz plugin verify`: of what lies in a registry, or of a file.
//!
//! A file's signature is over its very bytes, so `openssl pkeyutl -verify -rawin` and
//! `cosign verify-blob` check it, too.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::{CliError, answer};
use super::registry_access::{RegistryArgs, failed, wait};
use super::{key, package};
use crate::oci::{self, OciError, PublicKey, Reference};

/// A signature in base64 has 88 bytes.
const SIGNATURE_BYTES_MAX: u64 = 1024;

/// What is signed, and with what.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// A reference, such as registry.example/team/name:1.0.0, or a component's file
    what: String,
    /// The private key
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// Where to write a file's signature; otherwise beside it, with the ending `.sig`
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What is verified, and against what.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A reference, such as registry.example/team/name:1.0.0, or a component's file
    what: String,
    /// A file's signature; otherwise the one beside it, with the ending `.sig`
    signature: Option<PathBuf>,
    /// A public key; may be given more than once, one must fit
    #[arg(long, value_name = "PUB", required = true)]
    key: Vec<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) fn sign(args: &SignArgs) -> Result<(), CliError> {
    let key = key::private(&args.key)?;
    let fingerprint = key.public().fingerprint();
    if let Some(file) = as_file(&args.what) {
        let signature = key.sign(&package::read(file)?);
        let path = args.output.clone().unwrap_or_else(|| beside(file));
        let text = format!("{signature}\n");
        oci::write_file(&path, text.as_bytes()).map_err(|error| failed(&error))?;
        return answer::print(&format!(
            "signature  {}\nsigned by  {fingerprint}\n",
            path.display()
        ));
    }
    if args.output.is_some() {
        return Err(CliError::Usage(
            "--output is for the signature of a file; a reference's signature goes to its registry"
                .to_owned(),
        ));
    }
    let reference: Reference = args.what.parse().map_err(|error| failed(&error))?;
    let digest = wait(oci::sign(&reference, &args.registry.access()?, &key))?;
    print(&reference, &digest, &fingerprint)
}

pub(super) fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let keys = key::public_keys(&args.key)?;
    if let Some(file) = as_file(&args.what) {
        let signature = args.signature.clone().unwrap_or_else(|| beside(file));
        let fingerprint = verify_file(file, &signature, &keys)?;
        return answer::print(&format!("signed by  {fingerprint}\n"));
    }
    if args.signature.is_some() {
        let text = format!(
            "{} is no file, and a reference's signature is in its registry",
            args.what
        );
        return Err(CliError::Usage(text));
    }
    let reference: Reference = args.what.parse().map_err(|error| failed(&error))?;
    let (digest, fingerprint) = wait(oci::verify(&reference, &args.registry.access()?, &keys))?;
    print(&reference, &digest, &fingerprint)
}

fn verify_file(file: &Path, signature: &Path, keys: &[PublicKey]) -> Result<String, CliError> {
    signer_of(file, signature, &package::read(file)?, keys)
}

/// The fingerprint of the key among `keys` whose signature of `bytes` lies in the file `signature`.
///
/// # Errors
/// [`CliError`] when it cannot be read, or fits none.
pub(super) fn signer_of(
    file: &Path,
    signature: &Path,
    bytes: &[u8],
    keys: &[PublicKey],
) -> Result<String, CliError> {
    let mut text = String::new();
    File::open(signature)
        .and_then(|file| file.take(SIGNATURE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", signature.display())))?;
    match keys.iter().find(|key| key.fits(bytes, &text)) {
        Some(key) => Ok(key.fingerprint()),
        None => Err(failed(&OciError::NotVerified {
            reference: file.display().to_string(),
            found: 1,
            why: "it is of another key, or of other bytes".to_owned(),
        })),
    }
}

fn print(reference: &Reference, digest: &str, fingerprint: &str) -> Result<(), CliError> {
    let reference = reference.with_digest(digest);
    answer::print(&format!("reference  {reference}\nsigned by  {fingerprint}\n"))
}

fn as_file(what: &str) -> Option<&Path> {
    Some(Path::new(what)).filter(|path| path.is_file())
}

pub(super) fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".sig");
    PathBuf::from(path)
}
