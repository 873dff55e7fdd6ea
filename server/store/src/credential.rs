//! The right to work on one task, and its form for workers that do not have the database.
//!
//! Whoever claimed a ticket has the right, and gives the attempt number with every write: a right does not
//! say that the lease still stands. A worker without the database gets it as a credential: tenant, task,
//! attempt, worker and an end, signed by HMAC-SHA-256 with a key that only servers read. It opens nothing but
//! that one attempt, and not for long; a renewed lease comes with a new one.
//!
//! Not here: the token by which such a worker claims (see [`crate::worker_token`]), and the fence.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tamiz_core::{TaskId, TenantId, WorkerId};
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::queue::{Claim, Lease};
use crate::scope::TenantScope;

/// What a credential begins with.
const PREFIX: &str = "tml_";
/// Signed with it, so that no signature of another purpose under the same key fits.
const PURPOSE: &[u8] = b"tamiz lease 1:";
/// Tenant, task, worker, attempt, end.
const BODY_BYTES: usize = 16 * 3 + 4 + 8;
/// Of the signature: all of SHA-256.
const SIGNATURE_BYTES: usize = 32;

/// One attempt at one task, and who may make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRight {
    /// The right to the rows of the task's tenant.
    pub scope: TenantScope,
    /// The task.
    pub task: TaskId,
    /// The fencing token.
    pub attempt: i32,
    /// Who claimed it.
    pub worker: WorkerId,
}

impl LeaseRight {
    /// Of `worker`, which claimed `lease`.
    pub const fn of(lease: &Lease, worker: WorkerId) -> Self {
        Self {
            scope: lease.scope,
            task: lease.task,
            attempt: lease.attempt,
            worker,
        }
    }

    /// The claim's name.
    pub const fn claim(&self) -> Claim {
        Claim {
            tenant: self.tenant(),
            task: self.task,
            attempt: self.attempt,
        }
    }

    /// Whose task it is.
    pub const fn tenant(&self) -> TenantId {
        self.scope.tenant_id()
    }
}

/// Why a credential opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It is not ours.
    #[error("the credential was not made by this server")]
    Forged,
    /// It was.
    #[error("the credential has expired: the lease was not renewed in time")]
    Expired,
}

/// What signs credentials. Its `Debug` hides it.
#[derive(Clone)]
pub struct LeaseKey([u8; 32]);

impl fmt::Debug for LeaseKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LeaseKey(…)")
    }
}

impl Store {
    /// The key of this platform; `fresh` becomes it when there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked or holds a key of another length.
    pub async fn lease_key(&self, fresh: [u8; 32]) -> Result<LeaseKey, StoreError> {
        sqlx::query!(
            "insert into control.lease_key (key) values ($1) on conflict (one) do nothing",
            &fresh[..]
        )
        .execute(&self.dispatch)
        .await?;
        let key = sqlx::query_scalar!("select key from control.lease_key where one")
            .fetch_one(&self.dispatch)
            .await?;
        <[u8; 32]>::try_from(key.as_slice())
            .map(LeaseKey)
            .map_err(|_| StoreError::unreadable("lease key", "another length"))
    }
}

impl LeaseKey {
    /// The credential of `worker` for `claim`, which the queue has just said that it holds.
    pub fn sign(&self, claim: &Claim, worker: WorkerId, expires_at: DateTime<Utc>) -> String {
        let mut bytes = Vec::with_capacity(BODY_BYTES + SIGNATURE_BYTES);
        for id in [claim.tenant.uuid(), claim.task.uuid(), worker.uuid()] {
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes.extend_from_slice(&claim.attempt.to_be_bytes());
        bytes.extend_from_slice(&expires_at.timestamp().to_be_bytes());
        if let Some(mac) = self.mac(&bytes) {
            bytes.extend_from_slice(&mac.finalize().into_bytes());
        }
        format!("{PREFIX}{}", hex::encode(bytes))
    }

    /// The right that `credential` shows at `now`. The signature is compared in constant time, before
    /// anything of what it signs is believed.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn verify(&self, credential: &str, now: DateTime<Utc>) -> Result<LeaseRight, CredentialError> {
        let forged = CredentialError::Forged;
        let digits = credential.strip_prefix(PREFIX).ok_or(forged)?;
        let mut bytes = [0; BODY_BYTES + SIGNATURE_BYTES];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| forged)?;
        let (body, signature) = bytes.split_at(BODY_BYTES);
        let mac = self.mac(body).ok_or(forged)?;
        mac.verify_slice(signature).map_err(|_| forged)?;
        let id = |index: usize| Uuid::from_slice(&body[index * 16..][..16]).map_err(|_| forged);
        let attempt = body[48..52].try_into().map_err(|_| forged)?;
        let end = body[52..].try_into().map_err(|_| forged)?;
        if i64::from_be_bytes(end) <= now.timestamp() {
            return Err(CredentialError::Expired);
        }
        Ok(LeaseRight {
            scope: TenantScope::of(id(0)?.into()),
            task: id(1)?.into(),
            worker: id(2)?.into(),
            attempt: i32::from_be_bytes(attempt),
        })
    }

    /// `None` never: HMAC takes keys of every length.
    fn mac(&self, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(PURPOSE);
        mac.update(body);
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn claim() -> Claim {
        Claim {
            tenant: TenantId::fresh(),
            task: TaskId::fresh(),
            attempt: 7,
        }
    }

    fn end() -> DateTime<Utc> {
        NOW + chrono::TimeDelta::seconds(10)
    }

    #[test]
    fn a_credential_shows_the_claim_that_it_was_made_for_until_its_end() {
        let (key, claim, worker) = (LeaseKey([3; 32]), claim(), WorkerId::fresh());
        let credential = key.sign(&claim, worker, end());
        let right = key.verify(&credential, NOW).unwrap();
        assert_eq!((right.claim(), right.worker), (claim, worker));
        assert_eq!(key.verify(&credential, end()), Err(CredentialError::Expired));
    }

    #[test]
    fn a_credential_that_was_changed_or_signed_by_another_key_is_forged() {
        let (key, claim) = (LeaseKey([3; 32]), claim());
        let credential = key.sign(&claim, WorkerId::fresh(), end());
        for at in PREFIX.len()..credential.len() {
            let mut changed = credential.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(key.verify(&changed, NOW), Err(CredentialError::Forged), "{at}");
        }
        let other = LeaseKey([4; 32]);
        for forged in [
            other.sign(&claim, WorkerId::fresh(), end()),
            credential.to_ascii_uppercase(),
            format!("{credential}00"),
            credential[..credential.len() - 2].to_owned(),
            PREFIX.to_owned(),
            String::new(),
        ] {
            assert_eq!(key.verify(&forged, NOW), Err(CredentialError::Forged), "{forged}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", LeaseKey([3; 32])), "LeaseKey(…)");
    }
}
