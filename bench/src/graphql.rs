//! GraphQL beside `PostGraphile`, a Node server with `pg` and `DataLoader`, and the one SQL statement that says the same:
//! a nested page and a single node over a hundred tenants and a million findings, in one run on one Postgres.
//!
//! All read as the application's role under row-level security. Only Tamiz checks a token, a rate, a price and a budget;
//! the peers are told the tenant in a header and believe it. CPU is that of the server's process and of the whole Postgres
//! cluster; what asks runs on the same machine and is not counted.

mod answer;
mod contender;
mod fill;
mod load;
mod meter;
mod row;
mod statement;

use std::time::Duration;

use crate::Outcome;
use crate::stand::Stand;
use contender::{Contender, Question};
use fill::Filled;
use row::Row;

/// Requests under way at once, one after the other.
const AT_ONCE: [usize; 2] = [1, 4];
/// Pages and nodes of this many requests are compared before anything is measured.
const COMPARED: usize = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A small run that shows that everything works; its numbers say little
    #[arg(long)]
    quick: bool,
    /// Without the peers
    #[arg(long)]
    alone: bool,
    /// How long each is measured, at each concurrency
    #[arg(long)]
    seconds: Option<u64>,
    /// After the measures, wait for this many seconds with the server under the nested page, to look at it
    #[arg(long, default_value_t = 0)]
    linger: u64,
}

/// How much is measured, and over what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    tenants: u32,
    /// Tenants with enough projects for a page of twenty; they are the ones that ask.
    big: u32,
    projects_of_big: u32,
    projects_of_small: u32,
    tasks: u32,
    findings: u32,
    /// Different flaws of a project.
    contents: u32,
    warm_up: Duration,
    measured: Duration,
}

impl Size {
    fn of(args: &Args) -> Self {
        let size = if args.quick {
            Self {
                tenants: 10,
                big: 3,
                projects_of_big: 22,
                projects_of_small: 2,
                tasks: 12,
                findings: 20,
                contents: 30,
                warm_up: Duration::from_secs(1),
                measured: Duration::from_secs(2),
            }
        } else {
            Self {
                tenants: 100,
                big: 20,
                projects_of_big: 30,
                projects_of_small: 5,
                tasks: 20,
                findings: 50,
                contents: 60,
                warm_up: Duration::from_secs(5),
                measured: Duration::from_secs(15),
            }
        };
        Self {
            measured: args.seconds.map_or(size.measured, Duration::from_secs),
            ..size
        }
    }
}

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let size = Size::of(args);
    // what arrives is measured, not how much of it may
    let stand = Stand::start(&["log_filter=warn"], &["--no-worker"]).await?;
    let filled = fill::fill(&stand, size)?;
    let mut contenders = vec![Contender::tamiz(&stand, &filled).await?];
    if args.alone {
        println!("  no peers: --alone");
    } else if contender::peers_are_there() {
        contenders.push(Contender::peer(&stand, &filled, "postgraphile").await?);
        contenders.push(Contender::peer(&stand, &filled, "yoga").await?);
    } else {
        println!(
            "  no peers: npm is not there, or their packages could not be installed (scripts/bench says why)"
        );
    }
    println!("  {}", contender::versions(&stand)?);
    compare(&contenders, &stand, &filled).await?;
    for question in [Question::Page, Question::Node] {
        let mut rows = Vec::new();
        for contender in &contenders {
            for at_once in AT_ONCE {
                eprintln!("bench-graphql: {} {} x{at_once}", contender.name, question.name());
                rows.push(row::measure(contender, question, at_once, &stand, size).await?);
            }
        }
        for at_once in AT_ONCE {
            eprintln!("bench-graphql: SQL {} x{at_once}", question.name());
            rows.push(statement::measure(question, at_once, &stand, &filled, size)?);
        }
        row::print(question, &rows);
        bars(question, &rows);
    }
    explain();
    if args.linger > 0 {
        linger(&contenders, &stand, args.linger).await?;
    }
    Ok(())
}

/// Whoever answers less than the others is no contender.
async fn compare(contenders: &[Contender], stand: &Stand, filled: &Filled) -> Outcome<()> {
    for question in [Question::Page, Question::Node] {
        for number in 0..COMPARED {
            let expected = statement::answer(question, number, stand, filled)?;
            let expected = answer::said(&expected)?;
            for contender in contenders {
                let said = answer::said(&contender.ask(question, number).await?)?;
                if said != expected {
                    let first = said
                        .iter()
                        .zip(&expected)
                        .find(|(said, expected)| said != expected);
                    return Err(format!(
                        "{} answers the {} otherwise: {} values, not {}; {first:?}",
                        contender.name,
                        question.name(),
                        said.len(),
                        expected.len()
                    )
                    .into());
                }
            }
        }
    }
    println!("  all answer alike: ids, states, counts, titles and places of {COMPARED} pages and nodes");
    Ok(())
}

fn bars(question: Question, rows: &[Row]) {
    let of = |name: &str| rows.iter().find(|row| row.name == name && row.at_once == 1);
    let Some(tamiz) = of(contender::TAMIZ) else { return };
    let verdict = |met: bool| if met { "met" } else { "missed" };
    match question {
        Question::Page => {
            if let Some(sql) = of(statement::NAME) {
                let ratio = tamiz.cpu_ms / sql.cpu_ms;
                println!(
                    "  CPU of Tamiz over the SQL statement: {ratio:.2} (bar 1.00, {})",
                    verdict(ratio <= 1.0)
                );
            }
            if let Some(peer) = of("PostGraphile") {
                let ratio = tamiz.cpu_ms / peer.cpu_ms;
                println!(
                    "  CPU of Tamiz over PostGraphile: {ratio:.2} (bar 0.50, {})",
                    verdict(ratio <= 0.5)
                );
            }
        }
        Question::Node => {
            println!(
                "  a node: CPU {:.2} ms, p50 {:.2} ms (bar 0.30 for both, {}), {:.2} statements (bar 2, {})",
                tamiz.cpu_ms,
                tamiz.p50_ms,
                verdict(tamiz.cpu_ms.max(tamiz.p50_ms) < 0.3),
                tamiz.statements,
                verdict(tamiz.statements <= 2.0)
            );
        }
    }
}

fn explain() {
    println!(
        "\n  CPU is of server and Postgres together, per request; what asks is not counted but shares the cores\n\
         \x20 statements: those that read, and with BEGIN, SET and COMMIT in brackets, as Postgres logs them\n\
         \x20 memory: peak of the server's resident set; PSS at the end, Postgres not counted, which all share\n\
         \x20 not alike: Tamiz looks up its caller's token and counts the request; nobody else does\n\
         \x20 not alike: the SQL statement is prepared, over one connection each, and no server stands before it"
    );
}

/// Keeps the server busy with the nested page, for a profiler.
async fn linger(contenders: &[Contender], stand: &Stand, seconds: u64) -> Outcome<()> {
    let Some(tamiz) = contenders.first() else {
        return Ok(());
    };
    println!(
        "  lingering for {seconds} s: server {}, database {}",
        stand.server()?.pid(),
        stand.database_url
    );
    load::run(tamiz, Question::Page, 1, Duration::from_secs(seconds)).await?;
    Ok(())
}
