//! Starting beside a Postgres that restarts: what it cuts off is tried again for a while.
//!
//! For processes that are to stay. A command for a person says at once that the database is not there.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::causes::chain;

/// Postgres restarts in seconds; one that recovers for longer is worth another start, or a look.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Does `work`, and again as long as it ends with an outage, but begins none later than [`PATIENCE`] after the first.
/// What was done in part must be done again without harm.
///
/// # Errors
/// The first that is no outage, else the last.
pub(super) async fn outwait<Answer, Failure: Error, Work: Future<Output = Result<Answer, Failure>>>(
    is_outage: impl Fn(&Failure) -> bool,
    work: impl FnMut() -> Work,
) -> Result<Answer, Failure> {
    outwait_for(PATIENCE, is_outage, work).await
}

async fn outwait_for<Answer, Failure: Error, Work: Future<Output = Result<Answer, Failure>>>(
    patience: Duration,
    is_outage: impl Fn(&Failure) -> bool,
    mut work: impl FnMut() -> Work,
) -> Result<Answer, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        match work().await {
            Err(error) if is_outage(&error) && Instant::now() + PAUSE < deadline => {
                tracing::warn!(error = chain(&error), "the database is away: trying again");
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tamiz_store::{Store, StoreConfig, StoreError, migrate};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What stands in for Postgres does with a connection.
    #[derive(Clone, Copy)]
    enum Turn {
        Cut,
        Refuse(&'static str),
    }

    /// A message of Postgres: its kind, its length with itself, its fields.
    fn refusal(code: &str) -> Vec<u8> {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0Mno\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap();
        [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat()
    }

    /// Answers one connection after the other in this way, then listens no more.
    async fn stand_in(turns: Vec<Turn>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for turn in turns {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut start = [0; 1024];
                assert!(stream.read(&mut start).await.unwrap() > 0);
                if let Turn::Refuse(code) = turn {
                    stream.write_all(&refusal(code)).await.unwrap();
                }
            }
        });
        address
    }

    fn url(address: SocketAddr) -> String {
        format!("postgres://nobody@{address}/nowhere?sslmode=disable")
    }

    #[tokio::test]
    async fn a_postgres_that_restarts_is_asked_again_and_one_that_refuses_is_not() {
        for refused in ["28P01", "3D000", "28000"] {
            let turns = vec![
                Turn::Cut,
                Turn::Refuse("57P03"),
                Turn::Refuse(refused),
                Turn::Refuse("XX000"),
            ];
            let url = url(stand_in(turns).await);
            let mut tries = 0;
            let done = outwait(StoreError::is_outage, || {
                tries += 1;
                migrate::run(&url)
            });
            let error = done.await.unwrap_err();
            assert!(matches!(error, StoreError::Refused(_)), "{}", chain(&error));
            assert_eq!(tries, 3, "{refused}");
        }
    }

    #[tokio::test]
    async fn pools_tell_an_outage_from_a_refusal_too() {
        let open = async |turns| {
            let config = StoreConfig {
                database_url: url(stand_in(turns).await),
                connections_max: 1,
            };
            Store::open(&config).await.unwrap_err()
        };
        assert!(open(vec![Turn::Cut]).await.is_outage());
        assert!(!open(vec![Turn::Refuse("28P01")]).await.is_outage());
    }

    #[tokio::test]
    async fn an_outage_that_does_not_end_is_given_up() {
        let mut tries = 0;
        let done = outwait_for(
            PAUSE * 5 / 2,
            |_: &std::io::Error| true,
            || {
                tries += 1;
                std::future::ready(Err::<(), _>(std::io::Error::other("away")))
            },
        );
        assert!(done.await.is_err());
        // fewer on a machine that does not keep its time
        assert!((2..=3).contains(&tries), "{tries}");
    }
}
