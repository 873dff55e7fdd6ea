//! Endpoints of webhooks: made, changed, given another secret, taken away, and sent to again.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tamiz_core::webhook::{ENDPOINTS_MAX, EventType, PROJECTS_MAX};
use tamiz_core::{ProjectId, Refusal, RefusalCode, WebhookEndpointId, WebhookMessageId};
use tamiz_store::token::{Caller, Role};
use tamiz_store::webhook::endpoint::{self, Endpoint, Wish};
use tamiz_store::webhook::replay;
use tamiz_store::{Store, TenantTx};

use super::{FlowError, in_the_calendar, require};
use crate::config::TargetSettings;
use crate::webhook::{Address, Secret, judged};

/// Makes an endpoint; the text is its secret, told this once.
///
/// # Errors
/// Refused when the role is below admin, the address leads where webhooks may not go, an event or a project is none, or
/// the tenant has as many endpoints as it may.
pub async fn create_endpoint(
    store: &Store,
    targets: &TargetSettings,
    caller: &Caller,
    wish: Wish,
) -> Result<(Endpoint, String), FlowError> {
    require(caller, Role::Admin)?;
    let wish = checked(targets, caller, wish).await?;
    let secret = Secret::from_random(rand::random());
    let mut tx = store.begin(&caller.scope).await?;
    projects_checked(&mut tx, &wish).await?;
    let made = endpoint::create(&mut tx, WebhookEndpointId::fresh(), &wish, secret.bytes()).await?;
    let Some(made) = made else {
        let message = format!("a tenant has at most {ENDPOINTS_MAX} webhook endpoints");
        return Err(Refusal::new(RefusalCode::WrongState, message).into());
    };
    tx.commit().await?;
    Ok((made, secret.text()))
}

/// Replaces what an endpoint wants and where, and enables or disables it.
///
/// # Errors
/// As [`create_endpoint`], and when it is not there.
pub async fn update_endpoint(
    store: &Store,
    targets: &TargetSettings,
    caller: &Caller,
    id: WebhookEndpointId,
    wish: Wish,
    enabled: bool,
) -> Result<Endpoint, FlowError> {
    require(caller, Role::Admin)?;
    let wish = checked(targets, caller, wish).await?;
    let mut tx = store.begin(&caller.scope).await?;
    projects_checked(&mut tx, &wish).await?;
    let updated = endpoint::update(&mut tx, id, &wish, enabled).await?;
    tx.commit().await?;
    updated.ok_or_else(|| absent(id).into())
}

/// Gives an endpoint another secret, told this once; for a day the one of before signs, too.
///
/// # Errors
/// Refused when the role is below admin or the endpoint is not there.
pub async fn rotate_secret(
    store: &Store,
    caller: &Caller,
    id: WebhookEndpointId,
) -> Result<(Endpoint, String), FlowError> {
    require(caller, Role::Admin)?;
    let secret = Secret::from_random(rand::random());
    let mut tx = store.begin(&caller.scope).await?;
    let rotated = endpoint::rotate(&mut tx, id, secret.bytes()).await?;
    tx.commit().await?;
    let rotated = rotated.ok_or_else(|| absent(id))?;
    Ok((rotated, secret.text()))
}

/// Takes an endpoint away.
///
/// # Errors
/// Refused when the role is below admin or the endpoint is not there.
pub async fn delete_endpoint(store: &Store, caller: &Caller, id: WebhookEndpointId) -> Result<(), FlowError> {
    require(caller, Role::Admin)?;
    let mut tx = store.begin(&caller.scope).await?;
    let was_there = endpoint::delete(&mut tx, id).await?;
    tx.commit().await?;
    if was_there { Ok(()) } else { Err(absent(id).into()) }
}

/// Sends a message that says nothing.
///
/// # Errors
/// Refused when the role is below admin, or the endpoint is not there or disabled.
pub async fn send_test(
    store: &Store,
    caller: &Caller,
    id: WebhookEndpointId,
) -> Result<WebhookMessageId, FlowError> {
    let mut tx = enabled(store, caller, id).await?;
    let message = replay::test(&mut tx, id).await?;
    tx.commit().await?;
    message.ok_or_else(|| absent(id).into())
}

/// Sends a message again, whatever became of it.
///
/// # Errors
/// Refused when the role is below admin, the endpoint is not there or disabled, or the message was not for it.
pub async fn replay_message(
    store: &Store,
    caller: &Caller,
    id: WebhookEndpointId,
    message: WebhookMessageId,
) -> Result<WebhookMessageId, FlowError> {
    let mut tx = enabled(store, caller, id).await?;
    let replayed = replay::one(&mut tx, id, message).await?;
    tx.commit().await?;
    if replayed {
        return Ok(message);
    }
    let refusal = Refusal::not_found("webhook message", message);
    Err(refusal.at(&["input", "messageId"]).into())
}

/// Sends again what failed since then; answers how many messages, the oldest first and at most a thousand.
///
/// # Errors
/// Refused when the role is below admin, the time is beyond the calendar, or the endpoint is not there or disabled.
pub async fn replay_failed(
    store: &Store,
    caller: &Caller,
    id: WebhookEndpointId,
    since: DateTime<Utc>,
) -> Result<u64, FlowError> {
    in_the_calendar("since", since).map_err(|refusal| refusal.at(&["input", "since"]))?;
    let mut tx = enabled(store, caller, id).await?;
    let replayed = replay::failed_since(&mut tx, id, since).await?;
    tx.commit().await?;
    Ok(replayed)
}

/// The transaction in which something is sent to it.
async fn enabled(store: &Store, caller: &Caller, id: WebhookEndpointId) -> Result<TenantTx, FlowError> {
    require(caller, Role::Admin)?;
    let mut tx = store.begin(&caller.scope).await?;
    let found = endpoint::get(&mut tx, id).await?.ok_or_else(|| absent(id))?;
    if found.disabled.is_some() {
        let refusal = Refusal::new(
            RefusalCode::WrongState,
            "the endpoint is disabled: enable it first",
        );
        return Err(refusal.at(&["input", "endpointId"]).into());
    }
    Ok(tx)
}

fn absent(id: WebhookEndpointId) -> Refusal {
    Refusal::not_found("webhook endpoint", id).at(&["input", "endpointId"])
}

/// What is wanted, each once, at an address that webhooks may go to.
async fn checked(targets: &TargetSettings, caller: &Caller, wish: Wish) -> Result<Wish, Refusal> {
    let events = events(&wish.events)?;
    let projects = wish.projects.map(|ids| projects(&ids)).transpose()?;
    let address = Address::parse(wish.url.trim())?;
    judged(&address, &caller.tenant_name, targets).await?;
    Ok(Wish {
        url: address.url().to_string(),
        events,
        projects,
    })
}

fn events(events: &[EventType]) -> Result<Vec<EventType>, Refusal> {
    let each: BTreeSet<EventType> = events.iter().copied().collect();
    if each.contains(&EventType::Test) {
        return Err(Refusal::invalid(
            "events",
            "must not have TEST, which is sent when asked for",
        ));
    }
    if each.is_empty() {
        return Err(Refusal::invalid("events", "must name at least one event"));
    }
    Ok(each.into_iter().collect())
}

fn projects(projects: &[ProjectId]) -> Result<Vec<ProjectId>, Refusal> {
    let each: BTreeSet<ProjectId> = projects.iter().copied().collect();
    if each.is_empty() || each.len() > PROJECTS_MAX {
        let rule = format_args!("must name 1 to {PROJECTS_MAX} projects, or be left out for all");
        return Err(Refusal::invalid("projectIds", rule));
    }
    Ok(each.into_iter().collect())
}

async fn projects_checked(tx: &mut TenantTx, wish: &Wish) -> Result<(), FlowError> {
    let Some(projects) = &wish.projects else {
        return Ok(());
    };
    match endpoint::unknown_project(tx, projects).await? {
        None => Ok(()),
        Some(id) => Err(Refusal::not_found("project", id)
            .at(&["input", "projectIds"])
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_named_once_and_is_something_that_happens() {
        let (opened, fixed) = (EventType::AlertOpened, EventType::AlertFixed);
        assert_eq!(events(&[fixed, opened, fixed]), Ok(vec![opened, fixed]));
        for bad in [&[][..], &[EventType::Test]] {
            assert_eq!(events(bad).unwrap_err().path, ["input", "events"]);
        }
        let one = ProjectId::fresh();
        assert_eq!(projects(&[one, one]), Ok(vec![one]));
        let many: Vec<ProjectId> = (0..=PROJECTS_MAX).map(|_| ProjectId::fresh()).collect();
        for bad in [&[][..], &many] {
            assert_eq!(projects(bad).unwrap_err().path, ["input", "projectIds"]);
        }
    }
}
