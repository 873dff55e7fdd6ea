//! API tokens that a tenant's admins make and end. Both are told to the audit log, in the same transaction.
//!
//! Nobody gives or takes what they do not have: a token's role is at most the caller's own.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tamiz_core::limits::{NAME_CHARACTERS_MAX, TOKENS_PER_TENANT_MAX};
use tamiz_core::token::Token;
use tamiz_core::{Refusal, RefusalCode, TokenId};
use tamiz_store::audit::{self, Entry};
use tamiz_store::token::own::{self, OwnToken};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantTx};

use super::{FlowError, label, require};

/// How far away the end of a token may be: ten years. One without an end may be made instead.
const DAYS_AHEAD_MAX: i64 = 3_653;

/// What a new token shall be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a token; the text is its secret, told this once.
///
/// # Errors
/// Refused when the role is below admin or below the token's, the name or the end breaks its rule, or the tenant has as
/// many tokens as it may.
pub async fn create_token(
    store: &Store,
    caller: &Caller,
    wish: Wish,
) -> Result<(OwnToken, Token), FlowError> {
    require(caller, Role::Admin)?;
    require_role(caller, wish.role).map_err(|refusal| refusal.at(&["input", "role"]))?;
    let name = label("name", &wish.name, NAME_CHARACTERS_MAX)?;
    if let Some(end) = wish.expires_at {
        may_end(end, Utc::now())?;
    }
    let token = Token::from_random(caller.scope.tenant_id(), rand::random());
    let mut tx = store.begin(&caller.scope).await?;
    let made = own::create(&mut tx, name, wish.role, wish.expires_at, &token).await?;
    let Some(made) = made else {
        let message = format!("a tenant has at most {TOKENS_PER_TENANT_MAX} tokens that are not revoked");
        return Err(Refusal::new(RefusalCode::WrongState, message).into());
    };
    note(&mut tx, caller, "token.created", &made).await?;
    tx.commit().await?;
    Ok((made, token))
}

/// Ends a token now; one that was revoked before stays as it was.
///
/// # Errors
/// Refused when the role is below admin or below the token's, or the token is not there.
pub async fn revoke_token(store: &Store, caller: &Caller, id: TokenId) -> Result<OwnToken, FlowError> {
    require(caller, Role::Admin)?;
    let mut tx = store.begin(&caller.scope).await?;
    let found = own::by_ids(&mut tx, &[id]).await?.pop();
    let found = found.ok_or_else(|| absent(id))?;
    require_role(caller, found.role).map_err(|refusal| refusal.at(&["input", "tokenId"]))?;
    if found.revoked_at.is_some() {
        return Ok(found);
    }
    let revoked = own::revoke(&mut tx, id).await?.ok_or_else(|| absent(id))?;
    note(&mut tx, caller, "token.revoked", &revoked).await?;
    tx.commit().await?;
    Ok(revoked)
}

fn require_role(caller: &Caller, role: Role) -> Result<(), Refusal> {
    if role <= caller.role {
        return Ok(());
    }
    let (has, is) = (caller.role.as_str(), role.as_str());
    let message = format!("this token's role is {has}: it cannot make or revoke tokens whose role is {is}");
    Err(Refusal::new(RefusalCode::NotAllowed, message))
}

fn may_end(end: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refusal> {
    if end <= now {
        return Err(Refusal::invalid("expiresAt", "must be in the future"));
    }
    if end > now + TimeDelta::days(DAYS_AHEAD_MAX) {
        return Err(Refusal::invalid("expiresAt", "must be within ten years"));
    }
    Ok(())
}

async fn note(
    tx: &mut TenantTx,
    caller: &Caller,
    action: &'static str,
    token: &OwnToken,
) -> Result<(), FlowError> {
    let id = token.id.to_string();
    let entry = Entry {
        token: Some(caller.token),
        action,
        resource_type: "token",
        resource_id: Some(&id),
        metadata: json!({ "name": token.name, "role": token.role, "expiresAt": token.expires_at }),
    };
    audit::record(tx, &entry).await?;
    Ok(())
}

fn absent(id: TokenId) -> Refusal {
    Refusal::not_found("token", id).at(&["input", "tokenId"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_in_the_future_and_within_ten_years() {
        let now = Utc::now();
        for (days, path) in [
            (-1, Some("input.expiresAt")),
            (0, Some("input.expiresAt")),
            (1, None),
            (3_652, None),
            (3_654, Some("input.expiresAt")),
        ] {
            let refused = may_end(now + TimeDelta::days(days), now).err();
            let refused = refused.map(|refusal| refusal.path.join("."));
            assert_eq!(refused.as_deref(), path, "{days}");
        }
    }
}
