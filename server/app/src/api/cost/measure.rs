//! Sizes of selection sets, bottom-up, each fragment once.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    BaseType, Directive, ExecutableDocument, Field, FieldDefinition, OperationDefinition, Selection,
    SelectionSet, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Positioned, ServerError, Value as ConstantValue, Variables};
use tamiz_core::limits::PAGE_ROWS_MAX;

use super::{
    LIST_ROWS, Limits, PAGE_ROWS_DEFAULT, PLACE_DIRECTIVES_MAX, QUERY_LEVELS_MAX, at_most, with_code,
};

/// Lists of the type system whose elements lead to further such lists.
const INTROSPECTION_LISTS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// Fields that ask the schema for what it is; `__typename` only names an object's type.
const INTROSPECTION_FIELDS: [&str; 2] = ["__schema", "__type"];

/// What fields answer with many rows.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    pages: HashSet<String>,
    lists: HashSet<String>,
    pub(super) limits: Limits,
}

impl Prices {
    /// Every field of the schema that takes `first` is a page, wherever it stands; every other list is
    /// a plain one, but for those of a connection, which its page has paid for.
    pub fn from_sdl(sdl: &str, limits: Limits) -> Self {
        let mut prices = Self {
            limits,
            ..Self::default()
        };
        let Ok(document) = async_graphql::parser::parse_schema(sdl) else {
            return prices;
        };
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            match definition.node.kind {
                TypeKind::Object(object) => prices.add(&object.fields),
                TypeKind::Interface(interface) => prices.add(&interface.fields),
                _ => {}
            }
        }
        prices
    }

    fn add(&mut self, fields: &[Positioned<FieldDefinition>]) {
        let is_connection = fields.iter().any(|field| field.node.name.node == "pageInfo");
        for field in fields {
            let field = &field.node;
            let is_page = field
                .arguments
                .iter()
                .any(|argument| argument.node.name.node == "first");
            if is_page {
                self.pages.insert(field.name.node.to_string());
            } else if !is_connection && matches!(field.ty.node.base, BaseType::List(_)) {
                self.lists.insert(field.name.node.to_string());
            }
        }
    }

    /// Whether `field` answers with a page.
    pub fn is_page(&self, field: &str) -> bool {
        self.pages.contains(field)
    }

    /// How many rows `field` counts for when it does not say.
    fn rows(&self, field: &str) -> u64 {
        if self.pages.contains(field) {
            u64::from(PAGE_ROWS_DEFAULT)
        } else if self.lists.contains(field) {
            LIST_ROWS
        } else {
            1
        }
    }
}

/// The size of one selection set with its fragments written out. Sums saturate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measure {
    /// Fields of this level alone.
    pub(super) own: u64,
    /// Fields of all levels.
    pub(super) fields: u64,
    /// Aliases of all levels.
    pub(super) aliases: u64,
    /// Levels of fields.
    pub(super) depth: u64,
    /// Levels of fields and fragments.
    pub(super) levels: u64,
    /// Values of a full answer.
    pub(super) complexity: u64,
    /// Most lists of the type system above each other.
    pub(super) introspection_lists: u64,
    /// Directives of all levels.
    pub(super) directives: u64,
    /// Whether the schema is asked for what it is.
    pub(super) introspects: bool,
}

impl Measure {
    fn add(&mut self, other: &Self) {
        self.own = self.own.saturating_add(other.own);
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.depth = self.depth.max(other.depth);
        self.levels = self.levels.max(other.levels);
        self.complexity = self.complexity.saturating_add(other.complexity);
        self.introspection_lists = self.introspection_lists.max(other.introspection_lists);
        self.directives = self.directives.saturating_add(other.directives);
        self.introspects |= other.introspects;
    }
}

enum Fragment {
    /// Its measure is being taken right now.
    Open,
    Known(Measure),
}

/// Measures one document.
pub(super) struct Meter<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    prices: &'a Prices,
    fragments: HashMap<&'a str, Fragment>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(
        document: &'a ExecutableDocument,
        variables: &'a Variables,
        prices: &'a Prices,
    ) -> Self {
        Self {
            document,
            variables,
            prices,
            fragments: HashMap::new(),
        }
    }

    /// The measure of a whole operation.
    pub(super) fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Measure, ServerError> {
        let mut measure = self.selection(&operation.selection_set.node, 0)?;
        let variables = &operation.variable_definitions;
        let of_variables = variables.iter().map(|variable| &variable.node.directives);
        for directives in of_variables.chain([&operation.directives]) {
            measure.directives = measure.directives.saturating_add(counted(directives)?);
        }
        Ok(measure)
    }

    /// The measure of `set`, which stands `above` levels deep.
    pub(super) fn selection(&mut self, set: &'a SelectionSet, above: u64) -> Result<Measure, ServerError> {
        // recursion ends here; the sum below may find the same limit later
        at_most("QUERY_TOO_DEEP", "levels with fragments", above, QUERY_LEVELS_MAX)?;
        let mut total = Measure::default();
        for selection in &set.items {
            let part = match &selection.node {
                Selection::Field(field) => self.field(&field.node, above)?,
                Selection::InlineFragment(fragment) => {
                    let below = self.selection(&fragment.node.selection_set.node, above + 1)?;
                    deeper(below, &fragment.node.directives)?
                }
                Selection::FragmentSpread(spread) => {
                    let below = self.fragment(&spread.node.fragment_name.node, above + 1)?;
                    deeper(below, &spread.node.directives)?
                }
            };
            total.add(&part);
        }
        Ok(total)
    }

    /// The measure of the fragment called `name`; nothing if there is none (validation says so).
    pub(super) fn fragment(&mut self, name: &str, above: u64) -> Result<Measure, ServerError> {
        let Some((name, definition)) = self.document.fragments.get_key_value(name) else {
            return Ok(Measure::default());
        };
        match self.fragments.get(name.as_str()) {
            Some(Fragment::Known(measure)) => return Ok(*measure),
            Some(Fragment::Open) => {
                return Err(with_code(
                    "GRAPHQL_VALIDATION_FAILED",
                    format!("the fragment `{name}` contains itself"),
                ));
            }
            None => {}
        }
        self.fragments.insert(name, Fragment::Open);
        let mut measure = self.selection(&definition.node.selection_set.node, above)?;
        let own = counted(&definition.node.directives)?;
        measure.directives = measure.directives.saturating_add(own);
        self.fragments.insert(name, Fragment::Known(measure));
        Ok(measure)
    }

    fn field(&mut self, field: &'a Field, above: u64) -> Result<Measure, ServerError> {
        let below = self.selection(&field.selection_set.node, above + 1)?;
        let name = field.name.node.as_str();
        let directives = counted(&field.directives)?;
        let is_type_list = INTROSPECTION_LISTS.contains(&name) && !self.prices.is_page(name);
        Ok(Measure {
            own: 1,
            fields: below.fields.saturating_add(1),
            aliases: below.aliases.saturating_add(u64::from(field.alias.is_some())),
            depth: below.depth + 1,
            levels: below.levels + 1,
            complexity: below
                .complexity
                .saturating_mul(self.rows(field))
                .saturating_add(1),
            introspection_lists: below.introspection_lists + u64::from(is_type_list),
            directives: below.directives.saturating_add(directives),
            introspects: below.introspects || INTROSPECTION_FIELDS.contains(&name),
        })
    }

    /// How often the children of `field` are answered at most.
    fn rows(&self, field: &Field) -> u64 {
        let asked = ["first", "last"]
            .into_iter()
            .filter_map(|name| self.argument(field, name))
            .max();
        match asked {
            Some(rows) => rows.clamp(1, u64::from(PAGE_ROWS_MAX)),
            None => self.prices.rows(&field.name.node),
        }
    }

    fn argument(&self, field: &Field, name: &str) -> Option<u64> {
        let value = field
            .get_argument(name)?
            .node
            .clone()
            .into_const_with(|variable| self.variable(&variable));
        match value {
            Ok(ConstantValue::Number(number)) => number.as_u64(),
            _ => None,
        }
    }

    fn variable(&self, name: &Name) -> Result<ConstantValue, ()> {
        match self.variables.get(name) {
            Some(value) => Ok(value.clone()),
            None => self.largest_default(name).map(ConstantValue::from).ok_or(()),
        }
    }

    /// A fragment does not know which operation spreads it, so the largest default counts.
    fn largest_default(&self, variable: &str) -> Option<u64> {
        self.document
            .operations
            .iter()
            .flat_map(|(_, operation)| &operation.node.variable_definitions)
            .filter(|definition| definition.node.name.node == variable)
            .filter_map(|definition| match definition.node.default_value()? {
                ConstantValue::Number(number) => number.as_u64(),
                _ => None,
            })
            .max()
    }
}

fn deeper(measure: Measure, directives: &[Positioned<Directive>]) -> Result<Measure, ServerError> {
    Ok(Measure {
        levels: measure.levels + 1,
        directives: measure.directives.saturating_add(counted(directives)?),
        ..measure
    })
}

/// How many `directives` stand at one place.
fn counted(directives: &[Positioned<Directive>]) -> Result<u64, ServerError> {
    let count = directives.len() as u64;
    at_most(
        "QUERY_TOO_MANY_DIRECTIVES",
        "directives at one place",
        count,
        PLACE_DIRECTIVES_MAX,
    )?;
    Ok(count)
}
