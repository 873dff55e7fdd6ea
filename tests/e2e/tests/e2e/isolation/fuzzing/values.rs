//! What goes into arguments: one's own things, the other tenant's, and what is no thing at all.
//!
//! Nothing of the other tenant goes where a mutation would keep it: it would be one's own from then on.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::RngExt as _;
use serde_json::{Value, json};

use super::super::filling::{Belongings, Filling, Kind, bare, known_filling};
use super::super::schema::TypeRef;
use super::hostile;
use super::literal::Literal;
use super::request::Maker;

/// Nested inputs that are written out.
const INPUT_DEPTH_MAX: usize = 6;

/// Mutations that take a thing away: seldom one's own, so that something stays.
const TAKES_AWAY: [&str; 8] = [
    "cancelTask",
    "cancelTasks",
    "deleteAlertRule",
    "deleteSchedule",
    "deleteWebhookEndpoint",
    "closeTaskGroup",
    "revokeToken",
    "updateWebhookEndpoint",
];

/// Whose a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Foreign,
    Nobodys,
}

impl Maker<'_> {
    /// A value for the argument at `place`; `None` leaves it out.
    pub(super) fn value(&mut self, place: &str, of: &TypeRef, depth: usize) -> Option<Literal> {
        let left_out = if of.is_required() {
            self.rarely(30)
        } else {
            // what narrows a list hides what could be shown, and a list takes its own cursors alone
            let is_cursor = matches!(known_filling(place), Some(Filling::Cursor));
            let one_in = match (self.is_mutation, is_cursor) {
                (_, true) => 8,
                (true, false) => 2,
                (false, false) => 3,
            };
            !self.one_in(one_in)
        };
        let is_needed = matches!(known_filling(place), Some(Filling::NeededId(_)));
        if left_out && !is_needed {
            return None;
        }
        if self.rarely(30) || !of.is_required() && self.one_in(60) {
            return Some(Literal::Plain(Value::Null));
        }
        if !of.is_list {
            return self.single(place, of, depth);
        }
        let length = [0, 1, 1, 1, 2, 2, 3, 12][self.below(8)];
        let items = (0..length).filter_map(|_| self.single(place, of, depth));
        let items: Vec<Literal> = items.collect();
        // one alone stands for a list of one
        match items.first() {
            Some(only) if self.one_in(10) => Some(only.clone()),
            _ => Some(Literal::List(items)),
        }
    }

    fn single(&mut self, place: &str, of: &TypeRef, depth: usize) -> Option<Literal> {
        let schema = self.schema;
        if schema.is_input_object(&of.name) {
            return (depth < INPUT_DEPTH_MAX).then(|| self.object(of, depth));
        }
        let words = schema.find(&of.name).map_or(&[][..], |known| &known.words);
        if !words.is_empty() {
            let word = words[self.below(words.len())].clone();
            return Some(match if self.is_wild { self.below(20) } else { 3 } {
                0 => Literal::Word("NO_SUCH_WORD".to_owned()),
                1 => Literal::Plain(json!(word)),
                2 => Literal::Word(word.to_lowercase()),
                _ => Literal::Word(word),
            });
        }
        Some(Literal::Plain(self.scalar(place, of)))
    }

    fn object(&mut self, of: &TypeRef, depth: usize) -> Literal {
        let schema = self.schema;
        let inputs = &schema.get(&of.name).inputs;
        let mut fields = Vec::new();
        for input in inputs {
            let place = format!("{}.{}", of.name, input.name);
            if let Some(value) = self.value(&place, &input.of, depth + 1) {
                fields.push((input.name.clone(), value));
            }
        }
        // one way to say which alerts excludes the other
        let has = |name: &str| fields.iter().any(|(known, _)| known == name);
        if has("alertIds") && has("alerts") {
            let gone = if self.one_in(2) { "alertIds" } else { "alerts" };
            fields.retain(|(name, _)| name != gone);
        }
        if schema.get(&of.name).takes_one && !self.rarely(8) {
            self.keep_one(of, &mut fields, depth);
        }
        if self.rarely(30) {
            fields.push(("noSuchField".to_owned(), Literal::Plain(json!(1))));
        }
        Literal::Object(fields)
    }

    /// Exactly one field, which is not null.
    fn keep_one(&mut self, of: &TypeRef, fields: &mut Vec<(String, Literal)>, depth: usize) {
        let inputs = &self.schema.get(&of.name).inputs;
        let input = &inputs[self.below(inputs.len())];
        let place = format!("{}.{}", of.name, input.name);
        fields.clear();
        let single = self.single(&place, &input.of, depth + 1);
        let value = single.map(|value| {
            if input.of.is_list {
                Literal::List(vec![value])
            } else {
                value
            }
        });
        fields.extend(value.map(|value| (input.name.clone(), value)));
    }

    fn scalar(&mut self, place: &str, of: &TypeRef) -> Value {
        let filling = known_filling(place).unwrap_or(Filling::Nothing);
        let whose = match self.below(if self.is_wild { 20 } else { 17 }) {
            0..=11 => Whose::Own,
            12..=15 => Whose::Foreign,
            _ => Whose::Nobodys,
        };
        let takes_away = self.is_mutation && TAKES_AWAY.contains(&self.root_field.as_str());
        let whose = if takes_away && whose == Whose::Own && !self.one_in(30) {
            Whose::Foreign
        } else {
            whose
        };
        if whose == Whose::Nobodys {
            return hostile::value(&mut self.random, &of.name, self.is_wild);
        }
        let is_foreign = whose == Whose::Foreign;
        match filling {
            Filling::Id(kind) | Filling::NeededId(kind) => self.id(kind, is_foreign),
            Filling::AnyId => self.any_id(is_foreign),
            Filling::Cursor => json!(self.cursor(is_foreign)),
            Filling::File | Filling::Rule | Filling::Tool | Filling::ProjectName if !self.is_mutation => {
                self.name(filling, is_foreign)
            }
            Filling::Number(number) if number > 0 => json!(self.random.random_range(1..=number.min(8))),
            Filling::Number(number) => json!(number),
            Filling::Word(word) => json!(word),
            _ => self.chosen(&of.name),
        }
    }

    fn belongings(&mut self, is_foreign: bool) -> &'_ Belongings {
        let asker = self.asker;
        if is_foreign { asker.foreign } else { asker.own }
    }

    /// An id in one of the forms that are taken for one.
    fn id(&mut self, kind: Kind, is_foreign: bool) -> Value {
        if kind == Kind::Token && !is_foreign && self.is_mutation {
            // who asks stays who it is
            let spare = &self.asker.spare_tokens;
            return json!(spare[self.below(spare.len())]);
        }
        let asker = self.asker;
        let of = if is_foreign { asker.foreign } else { asker.own };
        // now and then of another kind
        let id = if self.one_in(if self.is_wild { 10 } else { 60 }) {
            let all = of.all_ids();
            all[self.below(all.len())]
        } else {
            let fitting = &of.ids[&kind];
            &fitting[self.below(fitting.len())]
        };
        let (id, bare) = (id.clone(), bare(id).to_owned());
        self.note(is_foreign, &bare);
        match self.below(if self.is_wild { 12 } else { 60 }) {
            0..=1 => json!(bare),
            2 if is_foreign => json!(id.to_uppercase()),
            3 if is_foreign => json!(format!("Project_{bare}")),
            4 if is_foreign => json!(bare.replace('-', "")),
            _ => json!(id),
        }
    }

    fn any_id(&mut self, is_foreign: bool) -> Value {
        let kinds: Vec<Kind> = self.belongings(is_foreign).ids.keys().copied().collect();
        let kind = kinds[self.below(kinds.len())];
        self.id(kind, is_foreign)
    }

    fn cursor(&mut self, is_foreign: bool) -> String {
        if self.one_in(5) {
            return BASE64_URL_SAFE_NO_PAD.encode(hostile::cursor(&mut self.random));
        }
        let cursors = &self.belongings(is_foreign).cursors.clone();
        let cursor = cursors[self.below(cursors.len())].clone();
        self.note(is_foreign, &cursor);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap_or_default();
        let Ok(mut text) = String::from_utf8(bytes) else {
            return cursor;
        };
        self.note_ids_in(&text);
        match self.below(8) {
            // one's own with the other's key in it
            0 => {
                let Value::String(id) = self.any_id(true) else {
                    return cursor;
                };
                let own = self.asker.own.all_ids();
                for known in own {
                    text = text.replace(bare(known), bare(&id));
                }
            }
            1 => text = text.replace(|letter: char| letter.is_ascii_digit(), "9"),
            2 => text = text.replace(":[", ":[null,"),
            3 => text.truncate(text.len() / 2),
            _ => return cursor,
        }
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }

    /// What is sent of somebody else may come back in a message, cut after its owner's name.
    fn note(&mut self, is_foreign: bool, text: &str) {
        if is_foreign || self.asker.is_stranger {
            self.sent.push(text.to_owned());
            self.sent.extend(self.asker.foreign_words.clone());
        }
    }

    /// What a cursor names was sent with it.
    fn note_ids_in(&mut self, text: &str) {
        let asker = self.asker;
        for (of, is_foreign) in [(asker.own, false), (asker.foreign, true)] {
            for id in of.all_ids().into_iter().map(|id| bare(id)) {
                if text.contains(id) {
                    self.note(is_foreign, id);
                }
            }
        }
    }

    fn name(&mut self, filling: Filling, is_foreign: bool) -> Value {
        let of = self.belongings(is_foreign);
        let name = match filling {
            Filling::File => &of.file,
            Filling::Rule => &of.rule,
            Filling::Tool => &of.tool,
            _ => &of.project_name,
        };
        let name = name.clone();
        self.note(is_foreign, &name);
        json!(name)
    }

    /// Something new that the type takes.
    fn chosen(&mut self, scalar: &str) -> Value {
        match scalar {
            "ID" | "UUID" => json!(uuid::Uuid::from_u128(self.random.random::<u128>()).to_string()),
            "Int" => json!(self.random.random_range(1..9)),
            "Boolean" => json!(self.random.random::<bool>()),
            "DateTime" => json!("2026-11-22T12:00:00Z"),
            "Date" => json!("2027-01-01"),
            "JSON" => json!({}),
            "URL" => json!("http://127.0.0.1:9/"),
            "BigInt" => json!("12"),
            "Duration" => json!("PT1M"),
            _ => json!(
                [
                    "made up",
                    "shop",
                    "semgrep",
                    "codeaudit",
                    "src/*.py",
                    "0 3 * * *",
                    "Europe/Berlin"
                ][self.below(7)]
            ),
        }
    }
}
