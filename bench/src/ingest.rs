//! Large reports into a project with a million alerts: the first time, the same again, fifty tenants at once; beside a
//! bare binary `COPY` of equal rows and the conversion alone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::client::{Client, LOOK_PAUSE};
use crate::stand::{Stand, psql};
use crate::{Outcome, convert, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Results of one report
    #[arg(long, default_value_t = 100_000)]
    results: usize,
    /// Alerts that the project has before
    #[arg(long, default_value_t = 1_000_000)]
    known: usize,
    /// Tenants that import at once, each a report of a fiftieth of the results
    #[arg(long, default_value_t = 50)]
    tenants: usize,
    /// The component
    #[arg(long, default_value = "target/plugins/codeaudit.wasm")]
    plugin: PathBuf,
}

const PATIENCE: Duration = Duration::from_mins(10);
/// Results of the import whose statements are counted.
const COUNTED: usize = 20_000;

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    println!(
        "ingest: reports of {} results into a project with {} alerts",
        args.results, args.known
    );
    let stand = Stand::start(&[], &[]).await?;
    let project = stand.client.create_project("ingest").await?;
    // a fresh server answers before its worker has compiled the plugin
    import(&stand.client, &project, "small.json", report::semgrep(1, 9)).await?;
    fill(&stand, &project, args.known)?;
    list(&stand.client, &project).await?;
    let semgrep = report::semgrep(args.results, 1);
    let speeds = convert::measure(&semgrep, args.results, &args.plugin, 3)?;
    println!("  conversion alone, semgrep:");
    convert::print(&speeds, semgrep.len(), args.results);
    for (name, bytes) in [
        ("semgrep.json", semgrep),
        ("results.sarif", report::sarif(args.results, 2)),
    ] {
        println!("  {name}, {:.0} MB", bytes.len() as f64 / 1e6);
        for (what, bar) in [("first import", 20_000), ("the same again", 40_000)] {
            let before = stand.client.phase_seconds().await?;
            let (uploaded, seconds) = import(&stand.client, &project, name, bytes.clone()).await?;
            let after = stand.client.phase_seconds().await?;
            let phase = |phase: &str| {
                let of = |phases: &std::collections::BTreeMap<String, f64>| {
                    phases.get(phase).copied().unwrap_or(0.0)
                };
                of(&after) - of(&before)
            };
            println!(
                "    {what:<16} {:>8.0} findings/s (bar {bar}), {seconds:.2} s: upload {uploaded:.2}, preparing {:.2}, converting {:.2}, storing {:.2}",
                args.results as f64 / seconds,
                phase("preparing"),
                phase("converting"),
                phase("storing"),
            );
        }
    }
    println!(
        "  {:.0} MB peak resident of server and worker (bar: under 300)",
        stand.server()?.memory_bytes("VmHWM")? as f64 / 1e6
    );
    copy(&stand, args.results)?;
    statements(&stand, &project).await?;
    together(&stand, args).await
}

/// Uploads, asks for the import and waits for its end; how long the upload and the whole took, in seconds.
async fn import(client: &Client, project: &str, name: &str, bytes: Vec<u8>) -> Outcome<(f64, f64)> {
    import_with(client, project, name, bytes, LOOK_PAUSE).await
}

/// [`import`], with so long a pause between two looks.
async fn import_with(
    client: &Client,
    project: &str,
    name: &str,
    bytes: Vec<u8>,
    pause: Duration,
) -> Outcome<(f64, f64)> {
    let began = Instant::now();
    let upload = client.upload(project, name, bytes).await?;
    let uploaded = began.elapsed().as_secs_f64();
    let task = client.start("importReport", project, &upload).await?;
    let done = client.wait_with(&task, PATIENCE, pause).await?;
    if done.status != "COMPLETED" {
        return Err(format!("{name} is {}: {:?}", done.status, done.error).into());
    }
    Ok((uploaded, began.elapsed().as_secs_f64()))
}

/// Alerts that another scope of the project holds, as an import would have left them.
fn fill(stand: &Stand, project: &str, alerts: usize) -> Outcome<()> {
    let began = Instant::now();
    psql(
        &stand.database_url,
        &format!(
            "insert into tenant.scan_scope select tenant_id, gen_random_uuid(), project_id, sha256('known'), scan_type,
                 'known', '', '', '', '', now(), task_id, now(), fingerprint_version from tenant.scan_scope where project_id = '{project}' limit 1;
             create temporary table known as
             select s.tenant_id, s.id as scope_id, s.project_id, s.task_id, gen_random_uuid() as alert_id,
                    gen_random_uuid() as content_id, sha256(n::text::bytea) as fingerprint, (n % 5)::smallint as severity, n
             from tenant.scan_scope s, generate_series(1, {alerts}) n where s.tool = 'known';
             insert into tenant.finding_content (tenant_id, project_id, id, source_tool, rule_id, severity, confidence, cwe,
                 cve, title, message, location_kind, location_label, file_path, line, locations, refs, tags, extra)
             select tenant_id, project_id, content_id, 'known', 'rule-' || n % 100, severity, 2, '{{79}}', '{{}}', 'title',
                    repeat('message ', 30), 'file', 'src/a.py', 'src/a.py', 1 + n % 4000, '[]', '[]', '[]', '{{}}' from known;
             insert into tenant.alert (tenant_id, id, project_id, kind, source_tool, content_id, fingerprint,
                 fingerprint_version, state, severity, tool_severity, scope_id, first_task_id)
             select tenant_id, alert_id, project_id, 'code', 'known', content_id, fingerprint, 2, 0, severity, severity,
                    scope_id, task_id from known;
             insert into tenant.alert_occurrence (tenant_id, alert_id, scope_id, place, fingerprint, content_id, line)
             select tenant_id, alert_id, scope_id, '00000000-0000-0000-0000-000000000000', fingerprint, content_id,
                    1 + n % 4000 from known;
             insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id, after)
             select tenant_id, alert_id, alert_id, 'opened', task_id, '{{\"state\": \"open\"}}' from known;
             insert into tenant.alert_count select tenant_id, project_id, 0, severity, count(*) from known group by 1, 2, 4
             on conflict (tenant_id, project_id, state, severity) do update set alerts = alert_count.alerts + excluded.alerts;
             insert into tenant.alert_rule_count select tenant_id, project_id, 'known', 'rule-' || n % 100, count(*) from known
             group by 1, 2, 4;
             drop table known;"
        ),
    )?;
    for table in ["finding_content", "alert", "alert_occurrence", "alert_event"] {
        psql(&stand.database_url, &format!("vacuum analyze tenant.{table}"))?;
    }
    psql(&stand.database_url, "checkpoint")?;
    println!("  {alerts} alerts made in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Pages of a hundred alerts, filtered, worst first and then last seen: as a client sees them, so more than the SQL alone.
async fn list(client: &Client, project: &str) -> Outcome<()> {
    const QUERY: &str = "query($p: ID!) { project(id: $p) { alerts(first: 100, \
        filter: { severity: [HIGH, MEDIUM], tool: [\"known\"] }) { nodes { id severity title lastSeenAt } } } }";
    let mut seconds = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        let data = client.graphql(QUERY, serde_json::json!({ "p": project })).await?;
        seconds.push(began.elapsed().as_secs_f64());
        let rows = data["project"]["alerts"]["nodes"].as_array().map_or(0, Vec::len);
        if rows != 100 {
            return Err(format!("a page has {rows} alerts").into());
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "  a page of 100 alerts over GraphQL: {:.1} ms at the median, {:.1} at most (bar in SQL alone: 10)",
        seconds[seconds.len() / 2] * 1e3,
        seconds[seconds.len() - 1] * 1e3
    );
    Ok(())
}

/// The rows of the last scope's first import, copied out and from there into equal tables without row-level security.
fn copy(stand: &Stand, results: usize) -> Outcome<()> {
    let newest = "(select task_id from tenant.scan_result order by created_at desc limit 1)";
    let of_task = "select alert_id from tenant.finding where task_id = ";
    let mut whole = 0.0;
    for (table, rows) in [
        (
            "finding",
            format!("select * from tenant.finding where task_id = {newest}"),
        ),
        (
            "finding_content",
            format!(
                "select * from tenant.finding_content where id in (select content_id from tenant.finding where task_id = {newest})"
            ),
        ),
        (
            "alert",
            format!("select * from tenant.alert where id in ({of_task}{newest})"),
        ),
        (
            "alert_occurrence",
            format!("select * from tenant.alert_occurrence where alert_id in ({of_task}{newest})"),
        ),
        (
            "alert_event",
            format!("select * from tenant.alert_event where alert_id in ({of_task}{newest})"),
        ),
    ] {
        let file = stand.folder.path().join(table);
        let run = |statement: String| psql(&stand.database_url, &statement);
        run(format!("\\copy ({rows}) to '{}' (format binary)", file.display()))?;
        run(format!(
            "create table public.bare_{table} (like tenant.{table} including all)"
        ))?;
        let began = Instant::now();
        run(format!(
            "\\copy public.bare_{table} from '{}' (format binary)",
            file.display()
        ))?;
        whole += began.elapsed().as_secs_f64();
    }
    println!(
        "  bare COPY of equal rows into equal tables, one after the other: {:.0} findings/s ({whole:.2} s)",
        results as f64 / whole
    );
    Ok(())
}

/// Statements of one import, as the database counts them.
async fn statements(stand: &Stand, project: &str) -> Outcome<()> {
    // of the role alone that reads and writes tenants' rows, on connections made from now on
    let log_statements = |which: &str| -> Outcome<()> {
        for statement in [
            &*format!("alter role tamiz_app set log_statement = '{which}'"),
            "alter role tamiz_app set log_parameter_max_length = 0",
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'tamiz_app'",
        ] {
            psql(&stand.database_url, statement)?;
        }
        Ok(())
    };
    log_statements("all")?;
    let log = stand.folder.path().join("postgres/postgres.log");
    let before = executed(&log)?;
    let bytes = report::semgrep(COUNTED, 3);
    // whoever looks all the time asks more than the import
    let pause = Duration::from_secs(1);
    import_with(&stand.client, project, "counted.json", bytes, pause).await?;
    let statements = executed(&log)? - before;
    log_statements("none")?;
    println!(
        "  {statements} statements for {COUNTED} findings, whatever else ran meanwhile: {:.4} each (bar 0.05)",
        statements as f64 / COUNTED as f64
    );
    Ok(())
}

fn executed(log: &Path) -> Outcome<usize> {
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let is_statement = |line: &&str| line.contains(" execute ") || line.contains("statement:");
    Ok(text.lines().filter(is_statement).count())
}

/// Many tenants at once: all together beside one alone, and who waits longest beside the mean.
async fn together(stand: &Stand, args: &Args) -> Outcome<()> {
    let results = args.results / 50;
    let mut clients = Vec::new();
    for number in 0..args.tenants {
        let name = format!("tenant-{number}");
        stand.command("tenant", &["create", &name])?;
        let token = stand.command("token", &["create", "--tenant", &name, "--name", "bench"])?;
        let client = Client::new(stand.port, token)?;
        let project = client.create_project("ingest").await?;
        clients.push((client, project));
    }
    let bytes = report::semgrep(results, 4);
    let (alone, own) = clients.first().ok_or("no tenants")?;
    let mut single = 0.0;
    for number in 0..10 {
        single += import(alone, own, "alone.json", report::semgrep(results, 100 + number))
            .await?
            .1;
    }
    let single = 10.0 * results as f64 / single;
    let began = Instant::now();
    let imports = clients
        .iter()
        .map(|(client, project)| import(client, project, "semgrep.json", bytes.clone()));
    let waits = try_join_all(imports).await?;
    let whole = (results * args.tenants) as f64 / began.elapsed().as_secs_f64();
    let waits: Vec<f64> = waits.into_iter().map(|(_, wait)| wait).collect();
    let mean = waits.iter().sum::<f64>() / waits.len() as f64;
    let longest = waits.iter().copied().fold(0.0, f64::max);
    println!(
        "  {} tenants at once, {results} results each: {whole:.0} findings/s, {:.2} of one tenant's {single:.0} (bar 0.8); \
         the longest wait is {:.1} times the mean (bar 3)",
        args.tenants,
        whole / single,
        longest / mean
    );
    Ok(())
}
