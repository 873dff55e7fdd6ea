//! Ed25519 keys as everybody writes them: PKCS#8 and SPKI, in PEM.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, Document, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::{OciError, digest_of};

/// Signs. Its bytes are wiped when it goes.
pub struct PrivateKey(SigningKey);

/// Says whether a signature is of its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// A new key, from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        PrivateKey(SigningKey::from_bytes(&rand::random()))
    }

    /// Reads PKCS#8.
    ///
    /// # Errors
    /// [`OciError::Key`].
    pub fn from_pem(text: &str) -> Result<Self, OciError> {
        let key = SigningKey::from_pkcs8_pem(text).map_err(|error| OciError::Key {
            kind: "private",
            why: error.to_string(),
        })?;
        Ok(PrivateKey(key))
    }

    /// Writes PKCS#8, its first version: OpenSSL and Go do not read the second, with the public key in it.
    ///
    /// # Errors
    /// [`OciError::Key`].
    pub fn to_pem(&self) -> Result<impl AsRef<[u8]> + use<>, OciError> {
        use ed25519_dalek::pkcs8::EncodePrivateKey as _;
        let bytes = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = bytes
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| OciError::Key {
                kind: "private",
                why: error.to_string(),
            })?;
        Ok(Pem(pem))
    }

    /// The other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature over `message` itself, in base64, as cosign and OpenSSL make it.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey")
    }
}

/// Text that is wiped when it goes.
struct Pem<T>(T);

impl<T: std::ops::Deref<Target = String>> AsRef<[u8]> for Pem<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PublicKey {
    /// Reads SPKI.
    ///
    /// # Errors
    /// [`OciError::Key`], also for keys that sign nothing (points of small order).
    pub fn from_pem(text: &str) -> Result<Self, OciError> {
        let wrong = |why: String| OciError::Key { kind: "public", why };
        let key = VerifyingKey::from_public_key_pem(text).map_err(|error| wrong(error.to_string()))?;
        if key.is_weak() {
            return Err(wrong("it is weak: anything would verify".to_owned()));
        }
        Ok(PublicKey(key))
    }

    /// Writes SPKI.
    ///
    /// # Errors
    /// [`OciError::Key`].
    pub fn to_pem(&self) -> Result<String, OciError> {
        self.0
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| OciError::Key {
                kind: "public",
                why: error.to_string(),
            })
    }

    /// `sha256:` and the hash of the key's SPKI, as `openssl pkey -pubin -outform DER | sha256sum` says it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // Writing 32 bytes behind a fixed head cannot fail; an empty document would only be another name.
        let document = self.0.to_public_key_der();
        digest_of(document.as_ref().map_or(&[], Document::as_bytes))
    }

    /// Whether `signature`, in base64, is this key's over `message`, by the strict rules: one message has
    /// no second signature that somebody else could make of the first.
    #[must_use]
    pub fn fits(&self, message: &[u8], signature: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(signature.trim()) else {
            return false;
        };
        Signature::from_slice(&bytes).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_signs_as_before() {
        let key = PrivateKey::generate();
        let text = String::from_utf8(key.to_pem().unwrap().as_ref().to_vec()).unwrap();
        let again = PrivateKey::from_pem(&text).unwrap();
        let public = PublicKey::from_pem(&key.public().to_pem().unwrap()).unwrap();
        assert_eq!(public, again.public());
        assert_eq!(public.fingerprint(), key.public().fingerprint());
        assert!(public.fits(b"message", &again.sign(b"message")));
    }

    #[test]
    fn keys_and_signatures_of_openssl_are_read() {
        // openssl genpkey -algorithm ed25519; openssl pkey -pubout; openssl pkeyutl -sign -rawin | base64
        let private = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEILx228SyDrd+u1jS8t8nDr9VWSXQAk3UIuBHUMiXdmVj\n\
            -----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEA0AY3sOIHns+FDwn1HW0PLv23xDCV/VjCK0YcaTU3nX8=\n\
            -----END PUBLIC KEY-----\n";
        let signature = "jX9inlR0OFciOoAkv4rkLyRm5O3Trn7Dfyi3rFvbH0D9\
            UBHIFkKE1thSMnI5Uj+KyE6bIZ7xmXCh3zqwK/VrBA==";
        let fingerprint = "sha256:d017d27f36bd48eefb861098502b1c90040a97373cb459c77b789710c2d932c8";
        let key = PrivateKey::from_pem(private).unwrap();
        assert_eq!(key.public().to_pem().unwrap(), public);
        assert_eq!(key.to_pem().unwrap().as_ref(), private.as_bytes());
        assert_eq!(key.public().fingerprint(), fingerprint);
        assert_eq!(key.sign(b"hello"), signature);
        assert!(key.public().fits(b"hello", signature));
    }

    #[test]
    fn a_signature_fits_one_message_and_one_key() {
        let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
        let signature = key.sign(b"message");
        assert!(!key.public().fits(b"messagf", &signature));
        assert!(!other.public().fits(b"message", &signature));
        for broken in ["", "AAAA", "not base64!", &signature[4..]] {
            assert!(!key.public().fits(b"message", broken), "{broken}");
        }
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        let key = PrivateKey::generate();
        let public = key.public().to_pem().unwrap();
        assert!(PrivateKey::from_pem(&public).is_err());
        assert!(PublicKey::from_pem("").is_err());
        // The neutral element: every signature of a certain form would be its.
        let weak = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
            -----END PUBLIC KEY-----\n";
        assert!(
            PublicKey::from_pem(weak)
                .unwrap_err()
                .to_string()
                .contains("weak")
        );
    }
}
