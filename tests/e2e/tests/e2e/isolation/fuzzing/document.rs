//! Documents: an operation, its fields and theirs, fragments, aliases and directives.

use rand::RngExt as _;

use super::super::schema::{Field, OPERATORS, Schema};
use super::literal::Literal;
use super::request::Maker;

/// Fields below fields.
const DEPTH_MAX: usize = 7;
/// Of one selection.
const FIELDS_OF_ONE: usize = 6;
/// Arguments of one field that become variables.
const VARIABLES_MAX: usize = 40;

impl Maker<'_> {
    /// An operation whose first field is the `first` of its root.
    pub(super) fn operation(&mut self, operation: &str, root: &str, first: usize) -> String {
        let schema = self.schema;
        let fields = &schema.get(root).fields;
        let open: Vec<&Field> = fields.iter().filter(|field| self.may_open(root, field)).collect();
        let more = if operation == "query" {
            self.below(3)
        } else {
            usize::from(self.one_in(8))
        };
        let mut parts = Vec::new();
        for turn in 0..=more {
            let field = if turn == 0 || open.is_empty() {
                &fields[first]
            } else {
                open[self.below(open.len())]
            };
            self.root_field.clone_from(&field.name);
            let part = self.field(root, field, 0, turn > 0);
            parts.push(part);
        }
        if self.one_in(20) {
            parts.push("__typename".to_owned());
        }
        if self.rarely(12) {
            parts.push("noSuchField { id }".to_owned());
        }
        let head = if self.declared.is_empty() {
            format!("{operation} Made")
        } else {
            format!("{operation} Made({})", self.declared.join(", "))
        };
        let fragments = self.fragments.join("\n");
        format!("{head} {{ {} }}\n{fragments}", parts.join(" "))
    }

    /// What refuses the asker as a whole would hide all that stands beside it.
    fn may_open(&self, owner: &str, field: &Field) -> bool {
        let is_operators = OPERATORS.contains(&(owner, field.name.as_str()));
        self.is_wild || self.asker.is_stranger || !is_operators
    }

    /// A field as it is selected: alias, arguments, directives and what is below it.
    fn field(&mut self, owner: &str, field: &Field, depth: usize, is_again: bool) -> String {
        self.fields_left = self.fields_left.saturating_sub(1);
        let mut text = String::new();
        if is_again || self.one_in(8) {
            self.aliases += 1;
            text = format!("a{}: ", self.aliases);
        }
        text += &field.name;
        text += &self.arguments(owner, field);
        text += &self.directives();
        if has_fields(self.schema, &field.of.name) {
            text += " { ";
            text += &self.selection(&field.of.name, depth + 1);
            text += " }";
        }
        text
    }

    fn arguments(&mut self, owner: &str, field: &Field) -> String {
        let mut parts = Vec::new();
        for arg in &field.args {
            let place = format!("{owner}.{}.{}", field.name, arg.name);
            let Some(value) = self.value(&place, &arg.of, 0) else {
                continue;
            };
            let written = self.placed(&arg.of.written, value);
            parts.push(format!("{}: {written}", arg.name));
        }
        if self.rarely(150) {
            parts.push("noSuchArgument: 1".to_owned());
        }
        if parts.is_empty() {
            String::new()
        } else {
            format!("({})", parts.join(", "))
        }
    }

    /// The value in the document, or a variable that holds it.
    fn placed(&mut self, of: &str, value: Literal) -> String {
        if self.declared.len() >= VARIABLES_MAX || self.one_in(3) {
            return value.written();
        }
        let name = format!("v{}", self.declared.len());
        let declared = match self.below(40) {
            0 if self.is_wild => format!("${name}: String"),
            1 if self.is_wild => format!("${name}: [{of}]"),
            2 => format!("${name}: {of} = {}", value.written()),
            _ => format!("${name}: {of}"),
        };
        self.declared.push(declared);
        self.variables.insert(name.clone(), value.json());
        format!("${name}")
    }

    fn directives(&mut self) -> String {
        let directive = match self.below(240) {
            0 => " @include(if: true)",
            1 => " @skip(if: false)",
            2 => " @skip(if: true)",
            3 => " @include(if: true) @skip(if: false)",
            _ if !self.is_wild => "",
            4 => " @include(if: true) @include(if: true)",
            5 => " @noSuchDirective",
            6 => " @include(if: \"x\")",
            7 => " @deprecated",
            _ => "",
        };
        directive.to_owned()
    }

    /// Some fields of a type, as they are or within a fragment.
    fn selection(&mut self, of: &str, depth: usize) -> String {
        let schema = self.schema;
        let known = schema.get(of);
        if !known.possible.is_empty() {
            let mut parts = vec!["__typename".to_owned()];
            for _ in 0..=self.below(3) {
                let possible = &known.possible[self.below(known.possible.len())];
                let inner = self.fields_of(possible, depth, true);
                parts.push(format!("... on {possible} {{ {inner} }}"));
            }
            return parts.join(" ");
        }
        let inner = self.fields_of(of, depth, false);
        match self.below(24) {
            0 => format!("... on {of} {{ {inner} }}"),
            1 => format!("... @include(if: true) {{ {inner} }}"),
            2..=3 => {
                let name = format!("F{}", self.fragments.len());
                self.fragments
                    .push(format!("fragment {name} on {of} {{ {inner} }}"));
                // and now and then twice
                let again = if self.one_in(4) {
                    format!(" ...{name}")
                } else {
                    String::new()
                };
                format!("...{name}{again}")
            }
            4 if self.is_wild && !self.fragments.is_empty() => {
                // of another type, mostly
                let name = self.below(self.fragments.len());
                format!("{inner} ...F{name}")
            }
            _ => inner,
        }
    }

    /// `is_apart`: two types may call different things alike.
    fn fields_of(&mut self, of: &str, depth: usize, is_apart: bool) -> String {
        let schema = self.schema;
        let fields = &schema.get(of).fields;
        let mut left: Vec<&Field> = fields.iter().filter(|field| self.may_open(of, field)).collect();
        let mut parts = Vec::new();
        let wanted = 1 + self.below(FIELDS_OF_ONE);
        while parts.len() < wanted && !left.is_empty() {
            let field = left.swap_remove(self.random.random_range(0..left.len()));
            let is_deep = has_fields(schema, &field.of.name);
            if is_deep && (depth >= DEPTH_MAX || self.fields_left == 0) {
                continue;
            }
            parts.push(self.field(of, field, depth, is_apart));
        }
        // what a list holds is the way on
        if let Some(nodes) = left.into_iter().find(|field| field.name == "nodes")
            && depth < DEPTH_MAX
        {
            parts.push(self.field(of, nodes, depth, is_apart));
        }
        if parts.is_empty() || self.one_in(15) {
            parts.push("__typename".to_owned());
        }
        parts.join(" ")
    }
}

fn has_fields(schema: &Schema, of: &str) -> bool {
    schema.is_object(of) || schema.is_interface(of)
}
