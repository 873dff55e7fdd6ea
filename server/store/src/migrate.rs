//! Bringing the schema up to date: roles, schemas, then the two migration sets.
//!
//! Runs as the user of the database URL, who must be a superuser or may create roles; everything
//! ends up owned by `tamiz_owner`, which cannot log in. Safe to run from several processes at once
//! (sqlx takes an advisory lock) and again at every start.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::connect::{
    APP_ROLE, CONTROL_ROLE, DISPATCH_ROLE, OWNER_ROLE, admin_options, role_options, role_password,
};
use crate::error::{StoreError, is_outage};

static CONTROL: Migrator = sqlx::migrate!("../../migrations/control");
static TENANT: Migrator = sqlx::migrate!("../../migrations/tenant");

/// Lost races on the cluster-wide role catalogue before giving up; each retry means that another
/// process just did the same work.
const ROLE_RETRIES_MAX: u32 = 20;

/// The first version of Postgres in which acting as a role is a right apart from being its member.
const ROLES_WITH_SET_SINCE: i32 = 160_000;

/// Makes roles and schemas if they are missing and applies what is new of both migration sets.
///
/// # Errors
/// [`StoreError::Unavailable`] when nobody answers, [`StoreError::Migration`] when a set does not
/// apply (a newer Tamiz has been here, or a file was changed), [`StoreError::Role`] when the user may
/// not do this.
pub async fn run(database_url: &str) -> Result<(), StoreError> {
    // "already exists, skipping" is the usual answer and no news
    let options = admin_options(database_url)?.options([("client_min_messages", "warning")]);
    let mut connection = options.connect().await?;
    for role in [OWNER_ROLE, APP_ROLE, DISPATCH_ROLE, CONTROL_ROLE] {
        make_role(&mut connection, role).await?;
    }
    for role in [APP_ROLE, DISPATCH_ROLE, CONTROL_ROLE] {
        set_password(&mut connection, database_url, role).await?;
    }
    adopt_owner(&mut connection).await?;
    for schema in ["control", "tenant"] {
        let make = format!("create schema if not exists {schema} authorization {OWNER_ROLE}");
        sqlx::raw_sql(AssertSqlSafe(make))
            .execute(&mut connection)
            .await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("set role {OWNER_ROLE}")))
        .execute(&mut connection)
        .await?;
    apply(&mut connection, &CONTROL, "control").await?;
    apply(&mut connection, &TENANT, "tenant").await?;
    connection.close().await?;
    Ok(())
}

/// sqlx keeps its own table per set; it goes into the set's schema.
async fn apply(connection: &mut PgConnection, set: &Migrator, schema: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(format!("set search_path = {schema}")))
        .execute(&mut *connection)
        .await?;
    set.run(connection).await.map_err(StoreError::Migration)
}

/// Roles belong to the whole cluster, so another database's migration may be making them right now.
async fn make_role(connection: &mut PgConnection, role: &'static str) -> Result<(), StoreError> {
    let known = sqlx::query_scalar!("select exists (select from pg_roles where rolname = $1)", role)
        .fetch_one(&mut *connection)
        .await?;
    if known == Some(true) {
        return Ok(());
    }
    let login = if role == OWNER_ROLE { "nologin" } else { "login" };
    let make =
        format!("create role {role} {login} noinherit nosuperuser nocreatedb nocreaterole nobypassrls");
    match sqlx::raw_sql(AssertSqlSafe(make)).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) if lost_race(&error) => Ok(()),
        Err(error) if code(&error) == "42501" => Err(StoreError::Role {
            role,
            why: "the user of the database URL may not create it; use one with CREATEROLE, or have a \
                  superuser run `tamiz migrate` once"
                .to_owned(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Only when logging in fails: rewriting the password on every start would race between processes.
async fn set_password(
    connection: &mut PgConnection,
    database_url: &str,
    role: &'static str,
) -> Result<(), StoreError> {
    let Some(password) = role_password(database_url, role)? else {
        return Ok(());
    };
    for _ in 0..ROLE_RETRIES_MAX {
        match role_options(database_url, role)?.connect().await {
            Ok(trial) => {
                trial.close().await?;
                return Ok(());
            }
            // no password helps against that
            Err(error) if is_outage(&error) => return Err(error.into()),
            Err(_) => {}
        }
        // the password is hex digits of our own making
        let alter = format!("alter role {role} password '{password}'");
        match sqlx::raw_sql(AssertSqlSafe(alter))
            .execute(&mut *connection)
            .await
        {
            Ok(_) => {}
            Err(error) if lost_race(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Role {
        role,
        why: "its new password is not accepted; see pg_hba.conf".to_owned(),
    })
}

/// A user that is no superuser must be allowed to act as the owner. From 16 on, who made a role may
/// give it away but not act as it, and is a member all the same; so the question is another one there.
async fn adopt_owner(connection: &mut PgConnection) -> Result<(), StoreError> {
    let version = sqlx::query_scalar!(r#"select current_setting('server_version_num')::int as "version!""#)
        .fetch_one(&mut *connection)
        .await?;
    let (right, how) = if version >= ROLES_WITH_SET_SINCE {
        ("set", " with set true")
    } else {
        ("member", "")
    };
    for _ in 0..ROLE_RETRIES_MAX {
        let held = sqlx::query_scalar!("select pg_has_role(current_user, $1, $2)", OWNER_ROLE, right)
            .fetch_one(&mut *connection)
            .await?;
        if held == Some(true) {
            return Ok(());
        }
        let grant = format!("grant {OWNER_ROLE} to current_user{how}");
        match sqlx::raw_sql(AssertSqlSafe(grant))
            .execute(&mut *connection)
            .await
        {
            Ok(_) => {}
            Err(error) if lost_race(&error) => {}
            Err(error) if code(&error) == "42501" => {
                return Err(StoreError::Role {
                    role: OWNER_ROLE,
                    why:
                        "the user of the database URL may not act as it, and may not allow itself to; have a \
                          superuser grant it, or run `tamiz migrate` once"
                            .to_owned(),
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Role {
        role: OWNER_ROLE,
        why: "it could not be granted to the migrating user".to_owned(),
    })
}

fn code(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .unwrap_or_default()
        .into_owned()
}

/// Duplicate object, unique violation, "tuple concurrently updated": somebody else was faster.
fn lost_race(error: &sqlx::Error) -> bool {
    matches!(code(error).as_str(), "42710" | "23505" | "XX000")
}
