//! A database of the test's own, cloned from the migrated template, and looked into with `psql`.

use std::process::Command;

use reqwest::Url;

/// The superuser's address, set by `scripts/test`.
const VARIABLE: &str = "TAMIZ_TEST_DATABASE_URL";
/// Migrated by `scripts/test`.
const TEMPLATE: &str = "tamiz_template";

/// A database that is dropped with its value.
pub(crate) struct Database {
    name: String,
    server: Url,
    url: Url,
}

impl Database {
    pub(crate) fn of_template() -> Self {
        let server =
            std::env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} is not set: run `make test`"));
        let server = Url::parse(&server).expect(VARIABLE);
        let name = format!("e2e_{}", uuid::Uuid::now_v7().simple());
        let mut url = server.clone();
        url.set_path(&format!("/{name}"));
        psql(
            server.as_str(),
            &format!("create database {name} template {TEMPLATE}"),
        );
        // a test is one client and sends as fast as it can
        psql(
            url.as_str(),
            "insert into control.plan_quota values ('standard', 'requests-per-minute', 10000000)",
        );
        Self { name, server, url }
    }

    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Closes all connections to it, as a restart of Postgres would.
    pub(crate) fn cut_connections(&self) {
        let name = &self.name;
        psql(
            self.server.as_str(),
            &format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"),
        );
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = &self.name;
        psql(
            self.server.as_str(),
            &format!("drop database if exists {name} with (force)"),
        );
    }
}

/// What a statement answers, without decoration.
pub(crate) fn psql(url: &str, statement: &str) -> String {
    psql_if_up(url, statement).unwrap_or_else(|said| panic!("psql {statement}: {said}"))
}

/// Types that ids of clients name; rows have the UUID alone.
const TYPES: [&str; 12] = [
    "Alert",
    "AlertRule",
    "Artifact",
    "Finding",
    "Plugin",
    "Project",
    "Schedule",
    "Task",
    "TaskGroup",
    "Tenant",
    "Upload",
    "WebhookEndpoint",
];

/// The same, or what `psql` says when the database is down. Ids may stand in it as clients have them.
pub(crate) fn psql_if_up(url: &str, statement: &str) -> Result<String, String> {
    let statement = TYPES.iter().fold(statement.to_owned(), |statement, name| {
        statement.replace(&format!("'{name}_"), "'")
    });
    let statement = statement.as_str();
    let mut command = Command::new("psql");
    command.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement]);
    let output = command.output().expect("psql is installed by scripts/setup");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let said = String::from_utf8(output.stdout).expect("psql speaks UTF-8");
    Ok(said.trim().to_owned())
}
