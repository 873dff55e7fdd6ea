//! Whether the token of a long connection still holds.
//!
//! One task per token asks, however many streams and websockets came with it; it ends with the last of them. So a
//! token that is revoked ends its streams within [`super::Times::recheck`] and the time of one question, and one
//! that expires ends them at its time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::Instrument as _;
use uuid::Uuid;

use super::Engine;
use crate::api::guard::bearer::{AuthError, Credential as _, Known};

type Watches = Arc<Mutex<HashMap<Uuid, Weak<TokenWatch>>>>;

/// The tokens of all long connections. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Watches);

/// The one task that asks for a token.
#[derive(Debug)]
struct TokenWatch {
    id: Uuid,
    ended: watch::Receiver<bool>,
    asking: JoinHandle<()>,
    watches: Watches,
}

impl Drop for TokenWatch {
    fn drop(&mut self) {
        self.asking.abort();
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        // somebody may have come with the token since the last one left
        if watches
            .get(&self.id)
            .is_some_and(|watch| watch.strong_count() == 0)
        {
            watches.remove(&self.id);
        }
    }
}

/// Says when a token has ended, to one connection.
#[derive(Debug)]
pub(super) struct TokenLife {
    ended: watch::Receiver<bool>,
    _watch: Arc<TokenWatch>,
}

impl TokenLife {
    /// Resolves when the token has expired or was revoked.
    pub(super) async fn ended(&mut self) {
        if self.ended.wait_for(|ended| *ended).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Tokens {
    /// Follows the token of `known`, asking `engine` every `period`.
    pub(super) fn follow<E: Engine>(
        &self,
        engine: &E,
        known: &Known<E::Caller>,
        period: Duration,
    ) -> TokenLife {
        let id = known.caller.token_id();
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = watches.get(&id).and_then(Weak::upgrade).unwrap_or_else(|| {
            let (sender, ended) = watch::channel(false);
            let asking = ask(engine.clone(), known.clone(), period, sender).in_current_span();
            let watch = Arc::new(TokenWatch {
                id,
                ended,
                asking: tokio::spawn(asking),
                watches: Arc::clone(&self.0),
            });
            watches.insert(id, Arc::downgrade(&watch));
            watch
        });
        TokenLife {
            ended: watch.ended.clone(),
            _watch: watch,
        }
    }

    /// Tokens that are asked for.
    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Asks until the token has ended.
async fn ask<E: Engine>(engine: E, known: Known<E::Caller>, period: Duration, sender: watch::Sender<bool>) {
    loop {
        let left = known.caller.expires_at().map(|at| at - Utc::now());
        // one that is past has no time left
        let left = left.map(|left| left.to_std().unwrap_or_default());
        sleep(left.map_or(period, |left| left.min(period))).await;
        let has_expired = known.caller.expires_at().is_some_and(|at| at <= Utc::now());
        let ended = has_expired
            || match engine.authenticate(&known.token).await {
                Err(AuthError::Refused) => true,
                // a store that is away for a moment is no reason to cut a watcher off
                Ok(_) | Err(AuthError::Unavailable(_)) => false,
            };
        if ended {
            let _ = sender.send(true);
            return;
        }
    }
}
