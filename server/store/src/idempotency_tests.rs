//! Keys as two servers and a crash between them use them.

use sqlx::AssertSqlSafe;
use tamiz_core::TokenId;

use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::error::StoreError;
use crate::idempotency::{ANSWER_BYTES_MAX, Asked, Claimed, KEYS_MAX, claim, finish};
use crate::project;
use crate::scope::TenantScope;

const REQUEST: [u8; 32] = [7; 32];

struct Field {
    database: Database,
    store: Store,
    scope: TenantScope,
    token: TokenId,
}

impl Field {
    async fn fresh() -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, _) = tenant_with_task(&store, "acme").await;
        Self {
            database,
            store,
            scope,
            token: TokenId::fresh(),
        }
    }

    async fn claims(&self, key: &str, request_hash: [u8; 32]) -> Claimed {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let asked = Asked {
            token: self.token,
            key,
            request_hash: &request_hash,
        };
        let claimed = claim(&mut tx, asked).await.unwrap();
        tx.commit().await.unwrap();
        claimed
    }

    async fn runs(&self, key: &str) -> TenantScope {
        match self.claims(key, REQUEST).await {
            Claimed::Run(scope) => scope,
            other => panic!("{key}: {other:?}"),
        }
    }

    /// A mutation's transaction.
    async fn writes(&self, scope: &TenantScope, name: &str) -> Result<(), StoreError> {
        let mut tx = self.store.begin(scope).await?;
        project::create(&mut tx, name).await?;
        tx.commit().await
    }

    async fn finishes(&self, scope: &TenantScope, answer: Option<&str>) {
        let mut tx = self.store.begin(&scope.aside()).await.unwrap();
        finish(&mut tx, scope, answer).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn admin(&self, statement: &str) {
        let mut admin = self.database.as_admin().await;
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut admin)
            .await
            .unwrap();
    }

    /// As if so much time had passed since the runs began.
    async fn later(&self, interval: &str) {
        self.admin(&format!(
            "update tenant.idempotency_key
             set begun_at = begun_at - interval '{interval}', expires_at = expires_at - interval '{interval}'"
        ))
        .await;
    }

    async fn projects(&self) -> i64 {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        project::count(&mut tx, None).await.unwrap()
    }

    async fn end(self) {
        self.store.close().await;
        self.database.drop().await;
    }
}

#[tokio::test]
async fn a_key_answers_what_was_answered_and_only_the_same_request() {
    let field = Field::fresh().await;
    let run = field.runs("a").await;
    assert_eq!(field.claims("a", REQUEST).await, Claimed::InUse);
    assert_eq!(field.claims("a", [8; 32]).await, Claimed::Reused);
    field.writes(&run, "one").await.unwrap();
    field.finishes(&run, Some("said")).await;
    assert_eq!(field.claims("a", REQUEST).await, Claimed::Answered("said".into()));
    assert_eq!(field.claims("a", [8; 32]).await, Claimed::Reused);

    // too large to be kept: something was done, and what was said has to be asked for
    let run = field.runs("large").await;
    field.writes(&run, "two").await.unwrap();
    field
        .finishes(&run, Some(&"x".repeat(ANSWER_BYTES_MAX + 1)))
        .await;
    assert_eq!(field.claims("large", REQUEST).await, Claimed::Unknown);

    // another token's key of the same name is another key
    let other = Field {
        token: TokenId::fresh(),
        ..field
    };
    assert!(matches!(other.claims("a", REQUEST).await, Claimed::Run(_)));
    other.end().await;
}

#[tokio::test]
async fn what_wrote_nothing_leaves_its_key_free() {
    let field = Field::fresh().await;
    let run = field.runs("a").await;
    // reads, and what is rolled back, are no writes
    let mut tx = field.store.begin(&run).await.unwrap();
    project::count(&mut tx, None).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = field.store.begin(&run).await.unwrap();
    project::create(&mut tx, "never").await.unwrap();
    drop(tx);
    field.finishes(&run, Some("refused")).await;
    field.runs("a").await;
    field.end().await;
}

#[tokio::test]
async fn a_server_that_died_leaves_a_key_that_says_whether_anything_was_written() {
    let field = Field::fresh().await;
    let before = field.projects().await;
    let silent = field.runs("silent").await;
    let written = field.runs("written").await;
    field.writes(&written, "one").await.unwrap();
    field.later("2 minutes").await;
    assert_eq!(field.claims("written", REQUEST).await, Claimed::Unknown);
    let second = field.runs("silent").await;
    // the first run was only asleep: it must not write any more, and cannot end the second
    let late = field.writes(&silent, "two").await.unwrap_err();
    assert!(matches!(late, StoreError::Overtaken), "{late}");
    field.finishes(&silent, Some("late")).await;
    field.writes(&second, "three").await.unwrap();
    field.finishes(&second, Some("done")).await;
    assert_eq!(
        field.claims("silent", REQUEST).await,
        Claimed::Answered("done".into())
    );
    assert_eq!(field.projects().await, before + 2);
    field.end().await;
}

#[tokio::test]
async fn a_day_later_a_key_is_a_new_one_and_is_swept() {
    let field = Field::fresh().await;
    for key in ["a", "b"] {
        let run = field.runs(key).await;
        field.writes(&run, key).await.unwrap();
        field.finishes(&run, Some("said")).await;
    }
    field.later("25 hours").await;
    assert!(matches!(field.claims("a", [9; 32]).await, Claimed::Run(_)));
    assert_eq!(field.store.delete_old_idempotency_keys().await.unwrap(), 1);
    assert_eq!(field.store.delete_old_idempotency_keys().await.unwrap(), 0);
    assert_eq!(field.claims("a", [9; 32]).await, Claimed::InUse);
    field.runs("b").await;
    field.end().await;
}

#[tokio::test]
async fn a_tenant_has_a_bounded_number_of_keys() {
    let field = Field::fresh().await;
    let known = field.runs("known").await;
    field.writes(&known, "one").await.unwrap();
    field.finishes(&known, Some("said")).await;
    let tenant = field.scope.tenant_id();
    field
        .admin(&format!(
            "insert into tenant.idempotency_key (tenant_id, id, token_id, key, request_hash, expires_at)
             select '{tenant}', gen_random_uuid(), gen_random_uuid(), n::text, sha256('x'), now() + interval '1 hour'
             from generate_series(2, {KEYS_MAX}) n"
        ))
        .await;
    assert!(matches!(field.claims("new", REQUEST).await, Claimed::Full(_)));
    assert_eq!(
        field.claims("known", REQUEST).await,
        Claimed::Answered("said".into())
    );
    field.end().await;
}
