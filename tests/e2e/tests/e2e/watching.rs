//! What an operator sees of processes that run, and of those that cannot.

use reqwest::Method;

use crate::harness::app::free_port;
use crate::harness::process::Process;
use crate::harness::wait::SOON;
use crate::harness::{Client, Plan, report, until};

async fn page(client: &Client, path: &str) -> Option<String> {
    let answer = client.request(Method::GET, path).send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

#[tokio::test]
async fn a_separate_worker_shows_its_own_numbers() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = app.tamiz();
    command.args(["worker", "--metrics-listen", &address]);
    let _worker = Process::spawn(&mut command, &app.folder().join("worker.log"));
    let task = acme.import(&project, "report.json", report::semgrep(1)).await;
    acme.ends_as(&task, "COMPLETED").await;
    let nobody = Client::new(&format!("http://{address}"), "");
    until("an ended attempt", SOON, async || {
        let numbers = page(&nobody, "/metrics").await?;
        assert!(
            !numbers.contains("tamiz_queue_tickets"),
            "the server counts the queue: {numbers}"
        );
        numbers
            .contains("tamiz_attempts_total{status=\"completed\"} 1")
            .then_some(())
    })
    .await;
    assert_eq!(page(&nobody, "/healthz").await.as_deref(), Some("ok\n"));
    assert_eq!(page(&nobody, "/graphql").await, None);
}

#[tokio::test]
async fn a_server_whose_worker_cannot_start_says_so_and_ends() {
    let app = Plan::new().without_worker().start().await;
    let folder = app.folder().display().to_string();
    for (key, value) in [
        ("tools_file", "absent.toml"),
        ("rules_path", "absent.yml"),
        ("scratch_dir", "file/scratch"),
    ] {
        std::fs::write(app.folder().join("file"), "").unwrap();
        let mut command = app.tamiz();
        command.args(["--set", "worker_in_process=true", "--set"]);
        command.arg(format!("{key}={folder}/{value}"));
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut server = Process::spawn(&mut command, &app.folder().join(format!("{key}.log")));
        assert!(!server.ends(SOON).success(), "{key}");
        assert!(server.log().contains(value), "{key}: {}", server.log());
    }
}
