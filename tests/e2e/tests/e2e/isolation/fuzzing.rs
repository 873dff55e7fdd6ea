//! Made-up documents from both tenants in every role: no fault of ours, no byte of the other, no server that ends.
//!
//! What is asked comes from the schema, the things of both tenants and a number: `TAMIZ_FUZZ_SEED` says which, and
//! `TAMIZ_FUZZ_QUERIES` how many. `make fuzz-graphql` runs many under a seed of its own; here run some under one
//! that stays. Ids are new in each run, so a repeated run asks the same of other ids, beside tasks that may be
//! further or less far.

mod asker;
mod document;
mod hostile;
mod literal;
mod request;
mod values;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use asker::{Asker, askers};
use request::{Made, Maker};
use verdict::{Verdict, codes};

use super::filling::bare;
use super::schema::Schema;
use super::world::{OTHER_WORD, WORD, World};
use crate::harness::report;
use crate::harness::tool::install;
use crate::harness::wait::{PATIENCE, until};

/// What the usual run begins with.
const SEED: u64 = 7;
/// How many the usual run asks.
const QUERIES: u64 = 1_500;
/// Asked at once. Fewer than one tenant may, so that nobody is told to come again.
const AT_ONCE: usize = 6;
/// Failures that are shown.
const FAILURES_SHOWN: usize = 8;
/// One in so many must be answered with something, or the test asks only nonsense.
const ANSWERED_ONE_IN: u64 = 4;

fn number_of(name: &str, otherwise: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(otherwise, |said| said.parse().expect("a number"))
}

/// What became of all that was asked.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<String, u64>,
    answered: u64,
    slowest: Duration,
    failures: Vec<String>,
    failed: usize,
}

impl Tally {
    fn add(&mut self, number: u64, asker: &Asker<'_>, made: &Made, verdict: Verdict) {
        for outcome in verdict.outcomes {
            *self.outcomes.entry(outcome).or_default() += 1;
        }
        self.answered += u64::from(verdict.is_answered);
        self.slowest = self.slowest.max(verdict.took);
        if let Some(why) = verdict.failure {
            self.failed += 1;
            if self.failures.len() < FAILURES_SHOWN {
                let told = format!("{number}, {}: {why}\n{made:?}", asker.name);
                self.failures.push(told);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_documents_find_no_fault_and_no_byte_of_the_other() {
    let (seed, queries) = (
        number_of("TAMIZ_FUZZ_SEED", SEED),
        number_of("TAMIZ_FUZZ_QUERIES", QUERIES),
    );
    println!("fuzzing: {queries} documents, TAMIZ_FUZZ_SEED={seed}");
    // what is made up can be a target: names are asked for where nobody answers
    let mut world = World::with(|plan| {
        plan.set("target_resolvers", "127.0.0.1:1")
            .set("graphql_batch_max", 4)
    })
    .await;
    put_neutral_tool(&world);
    for word in [WORD, OTHER_WORD] {
        for limit in ["requests-per-minute=1000000", "tasks-running=2"] {
            world.app.says(&["tenant", "limit", word, limit]);
        }
    }
    let schema = Schema::whole(&world.acme.client).await;
    let askers = askers(&world).await;
    let known = codes();
    let began = Instant::now();

    let ask = async |number: u64| {
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let asker = asker::one_of(&askers, &mut random);
        let made = Maker::new(&schema, asker, random).request(number);
        let verdict = verdict::of(asker, &made, &known).await;
        (number, asker, made, verdict)
    };
    let mut tally = Tally::default();
    let mut asked = futures_util::stream::iter(0..queries)
        .map(ask)
        .buffer_unordered(AT_ONCE);
    while let Some((number, asker, made, verdict)) = asked.next().await {
        tally.add(number, asker, &made, verdict);
    }
    drop(asked);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "fuzzing: {queries} in {seconds:.0} s, the slowest {:?}; {} answered; {:#?}",
        tally.slowest, tally.answered, tally.outcomes
    );

    assert!(world.app.server().is_running(), "the server ended");
    assert!(world.app.client("").is_ready().await, "the server is not ready");
    let log = world.app.log();
    let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "seed {seed}: {panics:#?}");
    let shown = tally.failures.join("\n\n");
    assert!(
        tally.failed == 0,
        "seed {seed}: {} failures:\n{shown}",
        tally.failed
    );
    assert!(
        tally.answered * ANSWERED_ONE_IN > queries,
        "only {} of {queries} are answered: {:#?}",
        tally.answered,
        tally.outcomes
    );
    settle(&world).await;
}

/// What a tenant scans from now on says nothing of whoever was there before, and has no findings: the same ones in both
/// tenants would have the same fingerprints.
fn put_neutral_tool(world: &World) {
    let tool = install(world.app.folder());
    for (name, bytes) in [
        ("owner", b"of nobody\n".to_vec()),
        ("report.json", report::named_semgrep("made-up", 0)),
        ("go", Vec::new()),
    ] {
        fs::write(tool.join(name), bytes).expect("the tool's files");
    }
}

/// Ends what the made-up mutations began: nobody's turn comes, and no task waits or runs.
async fn settle(world: &World) {
    world.app.sql("delete from control.schedule");
    until("an empty queue", PATIENCE, async || {
        let tickets = world
            .app
            .sql("select tenant_id, task_id from control.ticket limit 50");
        for ticket in tickets.lines() {
            let (tenant, task) = ticket.split_once('|').expect("two columns");
            let tenants = [&world.acme, &world.other].into_iter();
            let mut its =
                tenants.filter(|known| known.own.ids.values().flatten().any(|id| bare(id) == tenant));
            let its = its.next().expect("one of the two");
            its.client.mutate("cancelTask", json!({ "taskId": task })).await;
        }
        tickets.is_empty().then_some(())
    })
    .await;
}
