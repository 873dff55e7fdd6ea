//! One try: judge the address, sign, post, and read the beginning of the answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tamiz_core::text::cut;
use tamiz_core::{Refusal, WebhookMessageId};
use tamiz_store::webhook::delivery::{Parcel, Sent};
use tokio::time::{Instant, timeout};

use super::address::{Address, judged};
use super::signature::signatures;
use crate::causes;
use crate::config::TargetSettings;

/// From the first packet to the last byte that is read: receivers answer first and work then.
const SEND_SECONDS_MAX: u64 = 15;
/// Of the answer in the log.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// Of an error in the log.
const ERROR_BYTES_MAX: usize = 1_000;

/// Addresses that were judged, whatever name is asked for.
struct Pinned(Vec<IpAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _name: Name) -> Resolving {
        // port 0: the one of the address that is called
        let addresses: Vec<SocketAddr> = self.0.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

/// What the receiver said.
#[derive(Default)]
struct Answer {
    status: u16,
    text: String,
    retry_after: Option<Duration>,
}

/// Sends it once. Whatever goes wrong is part of what is answered.
pub(super) async fn send(parcel: &Parcel, message: WebhookMessageId, settings: &TargetSettings) -> Sent {
    let (started_at, began) = (Utc::now(), Instant::now());
    let limit = Duration::from_secs(SEND_SECONDS_MAX);
    let outcome = timeout(limit, attempt(parcel, message, started_at, settings)).await;
    let outcome =
        outcome.unwrap_or_else(|_| Err(format!("it did not answer within {SEND_SECONDS_MAX} seconds")));
    let (answer, error) = match outcome {
        Ok(answer) if (300..400).contains(&answer.status) => (
            Some(answer),
            Some("it answered with a redirect, which is not followed".to_owned()),
        ),
        Ok(answer) if (200..300).contains(&answer.status) => (Some(answer), None),
        Ok(answer) => {
            let error = format!("it answered with status {}", answer.status);
            (Some(answer), Some(error))
        }
        Err(error) => (None, Some(cut(&error, ERROR_BYTES_MAX).to_owned())),
    };
    Sent {
        started_at,
        duration: began.elapsed(),
        status_code: answer.as_ref().map(|answer| answer.status),
        error,
        retry_after: answer.as_ref().and_then(|answer| answer.retry_after),
        answer: answer.map(|answer| answer.text).filter(|text| !text.is_empty()),
    }
}

async fn attempt(
    parcel: &Parcel,
    message: WebhookMessageId,
    at: DateTime<Utc>,
    settings: &TargetSettings,
) -> Result<Answer, String> {
    let refused = |refusal: Refusal| refusal.message;
    let address = Address::parse(&parcel.url).map_err(refused)?;
    let found = judged(&address, &parcel.tenant_name, settings)
        .await
        .map_err(refused)?;
    let client = Client::builder()
        .user_agent(concat!("tamiz/", env!("CARGO_PKG_VERSION")))
        // a proxy would ask for the name again, and an answer elsewhere lead to who was not judged
        .no_proxy()
        .redirect(Policy::none())
        .dns_resolver(Arc::new(Pinned(found)))
        .build()
        .map_err(|error| causes::chain(&error))?;
    let (id, timestamp) = (message.to_string(), at.timestamp());
    let signature = signatures(&parcel.secrets, &id, timestamp, &parcel.body);
    let request = client
        .post(address.url().clone())
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(parcel.body.clone());
    // the address is the tenant's own and may hold what is secret
    let answer = request
        .send()
        .await
        .map_err(|error| causes::chain(&error.without_url()))?;
    Ok(read(answer).await)
}

/// Status and the beginning of the body. A body that breaks off takes nothing from the status.
async fn read(mut answer: Response) -> Answer {
    let mut bytes = Vec::new();
    let (status, retry_after) = (
        answer.status().as_u16(),
        asked_pause(answer.headers(), Utc::now()),
    );
    let reading = async {
        while bytes.len() < ANSWER_BYTES_MAX {
            let Ok(Some(chunk)) = answer.chunk().await else {
                break;
            };
            bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - bytes.len())]);
        }
    };
    // the rest of the time is for whoever answers slowly: a third of it is enough for 4 KiB
    let _ = timeout(Duration::from_secs(SEND_SECONDS_MAX / 3), reading).await;
    Answer {
        status,
        // Postgres takes no NUL
        text: String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}"),
        retry_after,
    }
}

/// `Retry-After`: seconds, or a date.
fn asked_pause(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    (at.with_timezone(&Utc) - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_receiver_asks_for_a_pause_in_seconds_or_until_a_time() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T10:00:00Z")
            .unwrap()
            .to_utc();
        let pause = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            asked_pause(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(pause("120"), Some(120));
        assert_eq!(pause("Sun, 22 Nov 2026 10:05:00 GMT"), Some(300));
        assert_eq!(pause("Sun, 22 Nov 2026 09:00:00 GMT"), None);
        assert_eq!(pause("soon"), None);
        assert_eq!(asked_pause(&HeaderMap::new(), now), None);
    }
}
