//! What a finding's CWE numbers are called, and where they stand in the OWASP Top 10.

use async_graphql::SimpleObject;
use tamiz_core::weakness;

/// A kind of flaw, by MITRE's list.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weakness {
    /// Its number.
    cwe: i32,
    /// What MITRE calls it; null for numbers that its list does not have.
    name: Option<&'static str>,
    /// Its categories in the OWASP Top 10, of each year one at most.
    owasp: Vec<OwaspCategory>,
}

/// A category of the OWASP Top 10.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwaspCategory {
    /// Of the list: 2021 or 2025.
    year: i32,
    /// `A01` to `A10`.
    id: &'static str,
    /// Such as `Injection`.
    name: &'static str,
}

impl Weakness {
    /// Of each number, in their order.
    pub(super) fn all_of(numbers: &[i32]) -> Vec<Self> {
        numbers.iter().map(|number| Self::of(*number)).collect()
    }

    fn of(cwe: i32) -> Self {
        let known = u32::try_from(cwe).unwrap_or_default();
        let categories = weakness::owasp(known).map(|category| OwaspCategory {
            year: i32::from(category.year),
            id: category.id,
            name: category.name,
        });
        Self {
            cwe,
            name: weakness::name(known),
            owasp: categories.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_its_name_and_its_places() {
        let [injection, unknown, wrong] = &Weakness::all_of(&[89, 999_999, -1])[..] else {
            panic!("three numbers have three answers");
        };
        assert!(injection.name.is_some_and(|name| name.contains("SQL")));
        let places: Vec<_> = injection
            .owasp
            .iter()
            .map(|at| (at.year, at.id, at.name))
            .collect();
        assert_eq!(places, [(2021, "A03", "Injection"), (2025, "A05", "Injection")]);
        for (of, cwe) in [(unknown, 999_999), (wrong, -1)] {
            assert_eq!((of.cwe, of.name, of.owasp.len()), (cwe, None, 0));
        }
    }
}
