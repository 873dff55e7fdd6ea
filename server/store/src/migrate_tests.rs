//! Migrating as a user that is no superuser, as hosted databases give one.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::database_for_tests::Database;
use crate::migrate;

/// Roles belong to the whole cluster, so the owner is there already. A user that made it could give it
/// away; that is what this one is granted, and no more.
#[tokio::test]
async fn a_user_that_may_only_make_roles_and_databases_can_migrate() {
    let database = Database::fresh().await;
    let mut admin = database.as_admin().await;
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    let user = format!("hosted_{}", uuid::Uuid::now_v7().simple());
    let only_to_give_away = if version >= 160_000 {
        "with admin true, set false, inherit false"
    } else {
        "with admin option"
    };
    let name = database.name();
    let prepare = format!(
        "create role {user} login createrole noinherit; alter database {name} owner to {user};
         drop schema tenant, control cascade;
         grant tamiz_owner to {user} {only_to_give_away}"
    );
    sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut admin)
        .await
        .unwrap();

    let mut url = url::Url::parse(&database.url).unwrap();
    let pairs: Vec<_> = url
        .query_pairs()
        .into_owned()
        .filter(|(key, _)| key != "user")
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(pairs)
        .append_pair("user", &user);
    for round in ["first", "again"] {
        migrate::run(url.as_str())
            .await
            .unwrap_or_else(|error| panic!("{round}: {error:?}"));
    }

    admin.close().await.unwrap();
    let name = database.name().to_owned();
    let mut server = database.server().connect().await.unwrap();
    let clean = format!("drop database {name} with (force)");
    sqlx::raw_sql(AssertSqlSafe(clean))
        .execute(&mut server)
        .await
        .unwrap();
    let clean = format!("drop owned by {user}; drop role {user}");
    sqlx::raw_sql(AssertSqlSafe(clean))
        .execute(&mut server)
        .await
        .unwrap();
}
