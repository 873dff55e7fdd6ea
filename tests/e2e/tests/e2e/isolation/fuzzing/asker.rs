//! Who asks: both tenants in each role, an operator and nobody.

use std::collections::BTreeSet;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::super::ROLES;
use super::super::filling::{Belongings, Kind, bare};
use super::super::world::{Tenant, World};
use crate::harness::{Client, text};

/// The last of those that ask: an operator and nobody.
const STRANGERS: usize = 2;
/// Tokens of each tenant that made-up mutations may end.
const SPARE_TOKENS: usize = 20;

/// A token, what its owner has, and what it must never see.
pub(super) struct Asker<'a> {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) own: &'a Belongings,
    pub(super) foreign: &'a Belongings,
    /// `own` is not its own either.
    pub(super) is_stranger: bool,
    /// The other tenant's names, which are told alone when a message is cut behind them.
    pub(super) foreign_words: Vec<String>,
    pub(super) spare_tokens: Vec<String>,
    pub(super) secrets: BTreeSet<String>,
}

/// Seldom who may ask nothing: in a list of the tenants' first, an operator and nobody last.
pub(super) fn one_of<'a>(askers: &'a [Asker<'a>], random: &mut StdRng) -> &'a Asker<'a> {
    let tenants = askers.len() - STRANGERS;
    let is_stranger = random.random_ratio(1, 15);
    let among = if is_stranger {
        tenants..askers.len()
    } else {
        0..tenants
    };
    &askers[random.random_range(among)]
}

/// All that ask.
pub(super) async fn askers(world: &World) -> Vec<Asker<'_>> {
    let mut askers = Vec::new();
    let (acme, other) = (&world.acme, &world.other);
    let pairs = [(acme, other), (other, acme)];
    let mut all = BTreeSet::new();
    for (own, foreign) in pairs {
        let secrets = world.secrets_of(foreign).await;
        all.extend(secrets.iter().cloned());
        let spare_tokens = spare_tokens(own).await;
        for role in ROLES {
            askers.push(Asker {
                name: format!("{} as {role}", own.word),
                client: world.app.token(own.word, &["--role", role]),
                own: &own.own,
                foreign: &foreign.own,
                is_stranger: false,
                foreign_words: vec![foreign.word.to_owned()],
                spare_tokens: spare_tokens.clone(),
                secrets: secrets.clone(),
            });
        }
    }
    let token = world
        .app
        .says(&["operator", "token", "create", "--name", "made-up"]);
    for (name, token, may_see_tenants) in [("an operator", token.trim(), true), ("nobody", "", false)] {
        // an operator knows who the tenants are, and nothing that they have
        let tenants = [acme, other].map(|tenant| tenant.own.ids[&Kind::Tenant][0].clone());
        let names = [acme.word, other.word];
        let is_theirs = |secret: &String| {
            names.contains(&secret.as_str()) || tenants.iter().any(|id| bare(id) == bare(secret))
        };
        let secrets = all
            .iter()
            .filter(|secret| !(may_see_tenants && is_theirs(secret)));
        askers.push(Asker {
            name: name.to_owned(),
            client: world.app.client(token),
            own: &acme.own,
            foreign: &other.own,
            is_stranger: true,
            foreign_words: names.map(str::to_owned).to_vec(),
            spare_tokens: askers[0].spare_tokens.clone(),
            secrets: secrets.cloned().collect(),
        });
    }
    askers
}

async fn spare_tokens(of: &Tenant) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..SPARE_TOKENS {
        let input = json!({ "name": format!("spare {number}"), "role": "VIEWER" });
        let made = of
            .client
            .mutate_for("createToken", "CreateTokenInput", input, "token { id }")
            .await;
        ids.push(text(&made["token"]["id"]));
    }
    ids
}
