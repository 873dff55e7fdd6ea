//! Signing as Standard Webhooks has it: HMAC-SHA256 over id, time and body, in base64 behind `v1,`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tamiz_core::webhook::{SECRET_BYTES, SECRET_PREFIX};

/// What an endpoint's messages are signed with. Shown once; never logged.
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Of these random bytes.
    pub(crate) const fn from_random(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As its owner keeps it.
    pub(crate) fn text(&self) -> String {
        format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(self.0))
    }
}

/// The header `webhook-signature`: one signature per secret, with a space between.
pub(super) fn signatures(secrets: &[Vec<u8>], id: &str, timestamp: i64, body: &str) -> String {
    let each = secrets.iter().filter_map(|secret| {
        // a key of any length is one
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        Some(format!(
            "v1,{}",
            BASE64_STANDARD.encode(mac.finalize().into_bytes())
        ))
    });
    each.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_signed_as_it_says() {
        // from the test of the standard's own libraries
        let secret = BASE64_STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signed = signatures(
            std::slice::from_ref(&secret),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            body,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signatures(
            &[vec![1; 32], secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            body,
        );
        assert!(both.ends_with(&format!(" {signed}")), "{both}");
    }

    #[test]
    fn a_secret_is_told_in_the_form_of_the_standard() {
        let text = Secret::from_random([7; SECRET_BYTES]).text();
        let encoded = text.strip_prefix("whsec_").unwrap();
        assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), [7; SECRET_BYTES]);
    }
}
