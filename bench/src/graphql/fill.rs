//! A hundred tenants and a million findings, straight into Postgres.

use std::time::Instant;

use super::Size;
use crate::Outcome;
use crate::stand::{Stand, psql};

/// Single nodes that are asked for, of each tenant: its newest tasks.
pub(super) const NODES: u32 = 50;

/// A tenant that asks.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) id: String,
    pub(super) token: String,
    /// Some of its tasks.
    pub(super) tasks: Vec<String>,
}

/// Who asks for what.
pub(super) struct Filled {
    pub(super) tenants: Vec<Tenant>,
}

impl Filled {
    /// The tenant of that request and the task that it asks for.
    pub(super) fn of(&self, number: usize) -> (&Tenant, &str) {
        let tenant = &self.tenants[number % self.tenants.len()];
        let task = &tenant.tasks[(number / self.tenants.len()) % tenant.tasks.len()];
        (tenant, task)
    }
}

/// Tenants by the operator's commands, their rows by SQL.
pub(super) fn fill(stand: &Stand, size: Size) -> Outcome<Filled> {
    let began = Instant::now();
    for number in 1..=size.tenants {
        stand.command("tenant", &["create", &format!("bench-{number}")])?;
    }
    let statements = [
        ("big", size.big),
        ("projects_of_big", size.projects_of_big),
        ("projects_of_small", size.projects_of_small),
        ("tasks", size.tasks),
        ("findings", size.findings),
        ("contents", size.contents),
    ]
    .into_iter()
    .fold(include_str!("fill.sql").to_owned(), |text, (name, number)| {
        text.replace(&format!("{{{name}}}"), &number.to_string())
    });
    psql(&stand.database_url, &statements)?;
    psql(&stand.database_url, include_str!("peers.sql"))?;
    psql(&stand.database_url, "vacuum analyze")?;
    psql(&stand.database_url, "checkpoint")?;
    let counts = psql(
        &stand.database_url,
        "select (select count(*) from control.tenant where name like 'bench-%'), (select count(*) from tenant.project),
                (select count(*) from tenant.task), (select count(*) from tenant.finding),
                pg_size_pretty(pg_database_size(current_database()))",
    )?;
    println!(
        "graphql: tenants, projects, tasks, findings, bytes: {counts}; made in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    let tenants = (1..=size.big)
        .map(|number| tenant(stand, number))
        .collect::<Outcome<Vec<_>>>()?;
    Ok(Filled { tenants })
}

fn tenant(stand: &Stand, number: u32) -> Outcome<Tenant> {
    let name = format!("bench-{number}");
    let token = stand.command("token", &["create", "--tenant", &name, "--name", "bench"])?;
    let id = psql(
        &stand.database_url,
        &format!("select id from control.tenant where name = '{name}'"),
    )?;
    let tasks = psql(
        &stand.database_url,
        &format!("select id from tenant.task where tenant_id = '{id}' order by id desc limit {NODES}"),
    )?;
    let tasks = tasks.lines().map(str::to_owned).collect();
    Ok(Tenant { id, token, tasks })
}
