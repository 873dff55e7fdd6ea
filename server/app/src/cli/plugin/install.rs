//! `tamiz plugin install`: a component out of a file or a registry, for everybody or for one tenant.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use tamiz_core::plugin::Capability;
use tamiz_store::Store;
use tamiz_store::plugin::{InstalledPlugin, operate};

use super::super::operator::{away, tenant_named, with_store};
use super::super::{CliError, answer, open};
use super::grant::not_wanted;
use super::named::in_words;
use super::registry_access::{RegistryArgs, failed};
use super::{key, sign};
use crate::blob::BlobStore;
use crate::config::Config;
use crate::flow::install_plugin::{InstallError, InstallOrder, install_plugin};
use crate::oci::{self, COMPONENT_BYTES_MAX, Reference};

/// What is installed, and for whom.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// A component's file, or a reference such as registry.example/team/name:1.0.0
    what: String,
    /// For this tenant alone; for everybody, if not said
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Grant what it wants: network, clock, randomness; may be repeated
    #[arg(long, value_name = "CAPABILITY")]
    grant: Vec<Capability>,
    /// Let it serve its scan type from now on
    #[arg(long)]
    choose: bool,
    /// Refuse it unless this public key signed it; may be repeated, one must fit. A file's signature lies
    /// beside it, with the ending `.sig`
    #[arg(long, value_name = "PUB")]
    verify_key: Vec<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// A component and where it came from.
struct Fetched {
    bytes: Bytes,
    origin: String,
    signed_by: Option<String>,
}

pub(super) async fn run(args: InstallArgs, config: &Config) -> Result<(), CliError> {
    if config.blob_url.scheme() == "memory" {
        let text = "blob_url is memory: a server would not see what this command stores there";
        return Err(CliError::Usage(text.to_owned()));
    }
    let fetched = fetch(&args).await?;
    let text = with_store(config, async |store| install(store, config, &args, fetched).await).await?;
    answer::print_line(&text)
}

async fn fetch(args: &InstallArgs) -> Result<Fetched, CliError> {
    let keys = key::public_keys(&args.verify_key)?;
    let keys = (!keys.is_empty()).then_some(keys.as_slice());
    let file = Path::new(&args.what);
    if file.exists() {
        let bytes = read(file)?;
        let signed_by = match keys {
            None => None,
            Some(keys) => Some(sign::signer_of(file, &sign::beside(file), &bytes, keys)?),
        };
        return Ok(Fetched {
            bytes: bytes.into(),
            origin: file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            signed_by,
        });
    }
    if file.extension().is_some_and(|extension| extension == "wasm") {
        return Err(CliError::Usage(format!("there is no file {}", file.display())));
    }
    let reference: Reference = args.what.parse().map_err(|error| failed(&error))?;
    let access = args.registry.access()?;
    let pulled = oci::pull_verified(&reference, &access, keys)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Fetched {
        bytes: pulled.bytes.into(),
        origin: pulled.reference.to_string(),
        signed_by: pulled.signed_by,
    })
}

/// One byte more than allowed is enough to be refused with the limit.
fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", file.display())))?;
    Ok(bytes)
}

async fn install(
    store: &Store,
    config: &Config,
    args: &InstallArgs,
    fetched: Fetched,
) -> Result<String, CliError> {
    let mut tx = store.begin_control().await.map_err(away)?;
    let tenant = match &args.tenant {
        Some(name) => Some(tenant_named(&mut tx, name).await?),
        None => None,
    };
    drop(tx);
    let blobs = BlobStore::open(&config.blob_url)
        .await
        .map_err(|error| CliError::unavailable(&error))?;
    let order = InstallOrder {
        component: fetched.bytes,
        tenant,
        origin: fetched.origin,
        signed_by: fetched.signed_by,
    };
    let host = open::host(config)?;
    let done = install_plugin(store, &blobs, &host, order)
        .await
        .map_err(|error| refused(&error))?;
    let plugin = done.plugin;
    let verb = if done.was_there {
        "is installed already"
    } else {
        "is installed"
    };
    let whom = args.tenant.as_deref().unwrap_or("everybody");
    let mut lines = vec![format!("{} {verb} for {whom}", in_words(&plugin))];
    lines.extend(
        plugin
            .signed_by
            .iter()
            .map(|key| format!("it is signed by {key}")),
    );
    lines.extend(allow(store, &plugin, args).await?);
    Ok(lines.join("\n"))
}

/// Grants and chooses as asked; says what was done and what is left to do.
async fn allow(store: &Store, plugin: &InstalledPlugin, args: &InstallArgs) -> Result<Vec<String>, CliError> {
    let mut tx = store.begin_control().await.map_err(away)?;
    let mut lines = Vec::new();
    let mut granted = plugin.granted.clone();
    for capability in &args.grant {
        if !operate::grant(&mut tx, plugin.id, *capability)
            .await
            .map_err(away)?
        {
            let why = not_wanted(plugin, *capability);
            return Err(CliError::Failed(format!(
                "it is installed and nothing is granted: {why}"
            )));
        }
        granted.push(*capability);
        lines.push(format!("it may use: {capability}"));
    }
    for wanted in &plugin.wanted {
        if !granted.iter().any(|capability| capability.as_str() == wanted) {
            lines.push(format!(
                "it wants {wanted}, which is not granted: tamiz plugin grant {} {wanted}",
                plugin.id
            ));
        }
    }
    if args.choose {
        let chosen = operate::choose_for(&mut tx, plugin.tenant, &plugin.scan_type, Some(plugin.id)).await;
        if !chosen.map_err(away)? {
            return Err(CliError::Failed(format!(
                "{} is {} and cannot be chosen; see `tamiz plugin enable`",
                in_words(plugin),
                plugin.state
            )));
        }
        lines.push(format!("it serves {} from now on", plugin.scan_type));
    }
    tx.commit().await.map_err(away)?;
    Ok(lines)
}

fn refused(error: &InstallError) -> CliError {
    match error {
        InstallError::Blob(_) | InstallError::Store(_) => CliError::unavailable(error),
        _ => CliError::failed(error),
    }
}
