//! Resident memory of a server that has nothing to do, without Postgres.

use std::time::Duration;

use crate::Outcome;
use crate::stand::Stand;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds to idle before looking
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let stand = Stand::start(&[], &[]).await?;
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let bytes = stand.server()?.memory_bytes("VmRSS")?;
    println!(
        "idle server and worker: {:.1} MB resident (bar: under 100)",
        bytes as f64 / 1e6
    );
    Ok(())
}
