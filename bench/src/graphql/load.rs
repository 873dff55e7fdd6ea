//! Requests one after the other, by so many at once, for so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::contender::{Contender, Question};
use crate::Outcome;

/// Requests of one asker that are sent again: Node closes a connection under load now and then. Their time counts.
const RESENT_MAX: u32 = 3;

/// How long each request took, in milliseconds, sorted; and how long all took together.
pub(super) struct Ran {
    pub(super) latency_ms: Vec<f64>,
    pub(super) seconds: f64,
}

/// Asks until `whole` is over. An answer that is no success or holds an error ends the run.
pub(super) async fn run(
    contender: &Contender,
    question: Question,
    at_once: usize,
    whole: Duration,
) -> Outcome<Ran> {
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(at_once)
        .build()?;
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let askers = (0..at_once).map(|_| {
        let (http, next) = (http.clone(), Arc::clone(&next));
        async move {
            let (mut latency, mut resent) = (Vec::new(), 0);
            while began.elapsed() < whole {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let request = contender.request(&http, question, number);
                let sent = Instant::now();
                let answer = match request.send().await {
                    Err(error) if resent < RESENT_MAX => {
                        resent += 1;
                        eprintln!("bench-graphql: {} is asked again: {error}", contender.name);
                        contender.request(&http, question, number).send().await?
                    }
                    answer => answer?,
                };
                let status = answer.status();
                let body = answer.bytes().await?;
                latency.push(sent.elapsed().as_secs_f64() * 1e3);
                if !status.is_success()
                    || body.starts_with(b"{\"errors\"")
                    || body.starts_with(b"{\"data\":null")
                {
                    let start = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
                    return Err(format!("{} answered {status}: {start}", contender.name).into());
                }
            }
            Outcome::Ok(latency)
        }
    });
    let mut latency_ms = try_join_all(askers).await?.concat();
    let seconds = began.elapsed().as_secs_f64();
    latency_ms.sort_by(f64::total_cmp);
    Ok(Ran { latency_ms, seconds })
}

/// So many requests, one after the other.
pub(super) async fn some(contender: &Contender, question: Question, requests: usize) -> Outcome<()> {
    let http = reqwest::Client::new();
    for number in 0..requests {
        let answer = contender.request(&http, question, number).send().await?;
        answer.bytes().await?;
    }
    Ok(())
}
