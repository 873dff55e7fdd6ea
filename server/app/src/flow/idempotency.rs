//! Mutations with an idempotency key: carried out once, answered as often as asked.
//!
//! The key is claimed in a transaction of its own, the flow of the mutation writes in the scope of the run, and the answer
//! is kept afterwards. What the store says of a key becomes a refusal here, or the right to run.
//!
//! Not here: what marks a key (`tamiz_store::idempotency`), and what a request is made of (see the API).

use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_store::idempotency::{self, Asked, Claimed, RUN_SECONDS_MAX};
use tamiz_store::token::Caller;
use tamiz_store::{Store, StoreError, TenantScope};

/// A run is given up so long before its key is given to somebody else.
pub const RUN_TIME_MAX: Duration = Duration::from_secs(30);
/// A key in bytes: a UUID has 36.
pub const KEY_BYTES_MAX: usize = 255;

const _: () = assert!(RUN_TIME_MAX.as_secs_f64() * 2.0 <= RUN_SECONDS_MAX);

/// What is to be done with a request.
#[derive(Debug)]
pub enum Turn {
    /// It is carried out in this scope, and [`finish`] is called.
    Run(TenantScope),
    /// It is answered so.
    Again(String),
}

/// Why a request with a key is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key itself breaks its rule.
    #[error("an idempotency key has 1 to {KEY_BYTES_MAX} printable ASCII characters, such as a UUID")]
    Invalid,
    /// The key was another request's.
    #[error("the idempotency key was sent with another request: take a new key for each request")]
    Reused,
    /// It is being carried out.
    #[error("the request with this idempotency key is being carried out: send it again in a moment")]
    InUse,
    /// Something was done, and its answer is lost.
    #[error(
        "the request with this idempotency key was carried out, at least in part, and its answer was not kept: \
         look at what is there, and take a new key to do it again"
    )]
    UnknownOutcome,
    /// The tenant has too many.
    #[error(
        "your tenant has {} idempotency keys, as many as one may: send it without one, or later",
        idempotency::KEYS_MAX
    )]
    TooMany {
        /// When there is room again.
        room_at: DateTime<Utc>,
    },
    /// The database did not do its part.
    #[error("the idempotency key could not be looked up")]
    Store(#[from] StoreError),
}

impl KeyError {
    /// The word that clients see; none of what is the store's.
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Invalid => Some("IDEMPOTENCY_KEY_INVALID"),
            Self::Reused => Some("IDEMPOTENCY_KEY_REUSED"),
            Self::InUse => Some("IDEMPOTENCY_KEY_IN_USE"),
            Self::UnknownOutcome => Some("IDEMPOTENCY_KEY_UNKNOWN_OUTCOME"),
            Self::TooMany { .. } => Some("IDEMPOTENCY_KEYS_TOO_MANY"),
            Self::Store(_) => None,
        }
    }
}

/// Whether the request is carried out now, or how it was answered.
///
/// # Errors
/// [`KeyError`] when it is neither.
pub async fn begin(
    store: &Store,
    caller: &Caller,
    key: &str,
    request_hash: &[u8; 32],
) -> Result<Turn, KeyError> {
    let is_printable = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !is_printable {
        return Err(KeyError::Invalid);
    }
    let asked = Asked {
        token: caller.token,
        key,
        request_hash,
    };
    let mut tx = store.begin(&caller.scope).await?;
    let claimed = idempotency::claim(&mut tx, asked).await?;
    tx.commit().await?;
    match claimed {
        Claimed::Run(scope) => Ok(Turn::Run(scope)),
        Claimed::Answered(answer) => Ok(Turn::Again(answer)),
        Claimed::Unknown => Err(KeyError::UnknownOutcome),
        Claimed::InUse => Err(KeyError::InUse),
        Claimed::Reused => Err(KeyError::Reused),
        Claimed::Full(room_at) => Err(KeyError::TooMany { room_at }),
    }
}

/// Keeps the answer of the run of `scope`, or frees its key where nothing was written.
///
/// # Errors
/// [`StoreError`] when the database does not take it: the key then says that the outcome is not known.
pub async fn finish(store: &Store, scope: &TenantScope, answer: Option<&str>) -> Result<(), StoreError> {
    let mut tx = store.begin(&scope.aside()).await?;
    idempotency::finish(&mut tx, scope, answer).await?;
    tx.commit().await
}
