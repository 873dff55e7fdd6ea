//! What can go wrong between us and Postgres. None of it is the asker's fault, none of its text is
//! for clients.

use std::io::ErrorKind;
use std::str::FromStr;

use sqlx::migrate::MigrateError;

/// A fault of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, starting, or has no free connection; trying again may help.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// The tenant holds all the connections that it may hold, and gave none back in time.
    #[error("the tenant has too many transactions at once")]
    Busy,
    /// Bytes that nobody referred to any more are just being deleted; putting them again helps.
    #[error("the same bytes are just being deleted")]
    BeingDeleted,
    /// The request took so long that another one with its idempotency key was begun; nothing was written.
    #[error("another request has taken over the idempotency key")]
    Overtaken,
    /// The database refused a statement: a bug of ours, or a damaged database.
    #[error("the database refused a statement")]
    Refused(#[source] sqlx::Error),
    /// A row holds what this version cannot read.
    #[error("a stored {what} cannot be read: {found}")]
    Unreadable {
        /// The column.
        what: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// What was asked for does not fit into what the transaction may hold in memory.
    #[error("the rows need more than {bytes_max} bytes")]
    TooMuch {
        /// What it may hold.
        bytes_max: u64,
    },
    /// The address of the database is malformed.
    #[error("the database address is malformed: {0}")]
    Address(String),
    /// The schema could not be brought up to date.
    #[error("the migrations did not run")]
    Migration(#[source] MigrateError),
    /// A role is missing or cannot log in.
    #[error("the role {role} cannot be used: {why}")]
    Role {
        /// Which one.
        role: &'static str,
        /// What the operator can do.
        why: String,
    },
}

impl StoreError {
    /// Trying the same again may help.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy | Self::BeingDeleted)
    }

    /// Postgres is not there for the moment: nobody listens, it starts or ends, or it cut the connection. A wrong
    /// password or database is none of these, nor is what only other requests are in the way of.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(error)
            | Self::Migration(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                is_outage(error)
            }
            _ => false,
        }
    }

    pub(crate) fn unreadable(what: &'static str, found: &str) -> Self {
        Self::Unreadable {
            what,
            found: tamiz_core::text::cut(found, 100).to_owned(),
        }
    }
}

/// What a word of a column stands for.
pub(crate) fn word<Word: FromStr>(what: &'static str, stored: &str) -> Result<Word, StoreError> {
    stored.parse().map_err(|_| StoreError::unreadable(what, stored))
}

/// What a number of a column stands for.
pub(crate) fn ranked<Word>(
    what: &'static str,
    stored: i16,
    from_rank: impl FnOnce(i16) -> Option<Word>,
) -> Result<Word, StoreError> {
    from_rank(stored).ok_or_else(|| StoreError::unreadable(what, &stored.to_string()))
}

impl From<tamiz_core::budget::Spent> for StoreError {
    fn from(spent: tamiz_core::budget::Spent) -> Self {
        Self::TooMuch {
            bytes_max: spent.bytes_max,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if passes(&error) {
            Self::Unavailable(error)
        } else {
            Self::Refused(error)
        }
    }
}

/// Connection trouble, shutdown, start-up, resource shortage and lost races are temporary:
/// classes 08, 53, 57P and 40 of the Postgres error codes (appendix A).
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            ["08", "53", "57P", "40"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// A socket file goes away with its Postgres. The codes: `admin_shutdown`, `crash_shutdown`, `cannot_connect_now`,
/// and `too_many_connections`, which those of a killed process cause until they are noticed.
pub(crate) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
                | ErrorKind::NotFound
                | ErrorKind::TimedOut
        ),
        // a pool asks again by itself while nobody listens
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            code.starts_with("08") || ["57P01", "57P02", "57P03", "53300"].contains(&code.as_ref())
        }),
        _ => false,
    }
}
