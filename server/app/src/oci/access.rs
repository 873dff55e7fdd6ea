//! How a registry is spoken to: in the clear or not, and as whom.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

use super::{OciError, Reference};

/// Docker's own registry is kept under this name in `config.json`, for historical reasons.
const DOCKER_HUB: (&str, &str) = ("index.docker.io", "https://index.docker.io/v1/");
/// Docker's configuration, in bytes: some lines for each registry.
const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What credential helpers answer for a registry that nobody logged in to.
const NOTHING_KEPT: &str = "credentials not found";

/// What the caller says about access. The default is HTTPS with what `docker login` left.
#[derive(Clone, Default)]
pub struct Access {
    /// HTTP instead of HTTPS, even to another machine.
    pub plain_http: bool,
    /// A user and the password; otherwise docker's `config.json` is asked.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        write!(
            formatter,
            "Access {{ plain_http: {}, user: {user:?} }}",
            self.plain_http
        )
    }
}

impl Access {
    /// `http` or `https`.
    pub(super) fn scheme(&self, reference: &Reference) -> &'static str {
        if self.plain_http || reference.is_here() {
            "http"
        } else {
            "https"
        }
    }

    /// Who we are there. Blocks for as long as docker's credential helper takes, when one is configured.
    pub(super) fn credentials(&self, registry: &str) -> Result<RegistryAuth, OciError> {
        if let Some((user, password)) = self.login.clone() {
            return Ok(RegistryAuth::Basic(user, password));
        }
        let wrong = |why: String| OciError::Credentials {
            registry: registry.to_owned(),
            why,
        };
        match config_file() {
            None => Ok(RegistryAuth::Anonymous),
            Some(path) => match File::open(&path) {
                Ok(file) => in_config(file.take(CONFIG_BYTES_MAX), registry).map_err(wrong),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(RegistryAuth::Anonymous),
                Err(error) => Err(wrong(format!("{} cannot be read: {error}", path.display()))),
            },
        }
    }
}

/// Where `docker login` writes.
fn config_file() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
    let folder = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(home)?;
    Some(folder.join("config.json"))
}

/// What docker's configuration has for a registry, its credential helpers included.
fn in_config(config: impl Read, registry: &str) -> Result<RegistryAuth, String> {
    let key = if registry == DOCKER_HUB.0 {
        DOCKER_HUB.1
    } else {
        registry
    };
    match docker_credential::get_credential_from_reader(config, key) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(
            "docker's config.json has an identity token for it; give --username and TAMIZ_REGISTRY_PASSWORD"
                .to_owned(),
        ),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        // What a helper prints may hold what it should keep, so only its name is said.
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, .. }) => {
            if stdout.contains(NOTHING_KEPT) {
                return Ok(RegistryAuth::Anonymous);
            }
            Err(format!("the credential helper `{helper}` failed"))
        }
        Err(error) => Err(format!("docker's config.json: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_or_where_it_is_asked_for() {
        let scheme = |text: &str, plain_http| {
            let access = Access {
                plain_http,
                login: None,
            };
            access.scheme(&text.parse().unwrap())
        };
        assert_eq!(scheme("127.0.0.1:5000/x:1", false), "http");
        assert_eq!(scheme("10.0.0.1:5000/x:1", false), "https");
        assert_eq!(scheme("registry.example/x:1", false), "https");
        assert_eq!(scheme("registry.example/x:1", true), "http");
    }

    #[test]
    fn credentials_are_those_of_docker_login() {
        // of `me:secret`
        let config = r#"{"auths": {"registry.example:5000": {"auth": "bWU6c2VjcmV0"}, "other.example": {"identitytoken": "x"}}}"#;
        let read = |config: &str, registry: &str| in_config(config.as_bytes(), registry);
        let login = RegistryAuth::Basic("me".to_owned(), "secret".to_owned());
        assert!(read(config, "registry.example:5000") == Ok(login));
        assert!(read(config, "registry.example") == Ok(RegistryAuth::Anonymous));
        assert!(
            read(config, "other.example")
                .unwrap_err()
                .contains("identity token")
        );
        assert!(read("{", "registry.example").unwrap_err().contains("config.json"));
    }

    #[test]
    fn a_password_is_not_printed() {
        let access = Access {
            plain_http: false,
            login: Some(("me".to_owned(), "secret".to_owned())),
        };
        let printed = format!("{access:?}");
        assert!(printed.contains("me") && !printed.contains("secret"), "{printed}");
    }
}
