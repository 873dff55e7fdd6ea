//! Places for event streams and websockets: of the whole server, and of each tenant.
//!
//! A connection takes its place when its token is known; before that it only counts as a connection
//! (see `listen`).

use std::sync::Arc;

use axum::http::StatusCode;
use tamiz_store::shares::{Place, Shares};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::api::refused::Refused;

/// Free places. Clones share them.
#[derive(Debug, Clone)]
pub struct Streams {
    all: Arc<Semaphore>,
    of_tenant: Shares<Uuid>,
}

/// A place for one stream, until it is dropped.
#[must_use]
#[derive(Debug)]
pub(super) struct StreamPlace {
    _of_tenant: Place,
    _of_all: OwnedSemaphorePermit,
}

impl Streams {
    /// `all` places, of which one tenant may take `of_tenant`.
    pub fn new(all: usize, of_tenant: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_tenant: Shares::new(of_tenant),
        }
    }

    /// A place for a stream of `tenant`, or of an operator.
    pub(super) fn take(&self, tenant: Uuid) -> Result<StreamPlace, Refused> {
        let of_tenant = self.of_tenant.take(tenant).ok_or_else(|| {
            too_many(&format!(
                "your tenant holds {} open streams, which is its share",
                self.of_tenant.places()
            ))
        })?;
        let of_all = Arc::clone(&self.all).try_acquire_owned();
        let of_all = of_all.map_err(|_| too_many("the server holds as many open streams as it may"))?;
        Ok(StreamPlace {
            _of_tenant: of_tenant,
            _of_all: of_all,
        })
    }
}

fn too_many(why: &str) -> Refused {
    Refused::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TOO_MANY_STREAMS",
        format!("{why}: try again later"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_all_its_streams_leaves_places_to_others() {
        let streams = Streams::new(5, 3);
        let (acme, globex) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let held: Vec<StreamPlace> = (0..3).filter_map(|_| streams.take(acme).ok()).collect();
        assert_eq!(held.len(), 3);
        let refused = streams.take(acme).map(drop);
        assert!(refused.is_err_and(|refused| refused.message().contains("3 open streams")));
        let others: Vec<StreamPlace> = (0..3).filter_map(|_| streams.take(globex).ok()).collect();
        assert_eq!(others.len(), 2, "the server's own limit holds for all together");
        drop(held);
        assert!(streams.take(acme).is_ok());
    }
}
