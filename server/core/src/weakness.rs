//! What a CWE number is called, and where it stands in the OWASP Top 10 of 2021 and of 2025.
//!
//! The names and lists are data beside the code (`data/*.tsv`), each with its source and version in its head; what
//! could not be verified is told there. They are read once. A category lists weaknesses by number: one that is not
//! listed has no category, even where a more general one is listed.
//!
//! Not here: what a tool itself says of the OWASP Top 10; that stays a tag of its finding.

use std::sync::LazyLock;

const NAMES: &str = include_str!("../data/cwe.tsv");
const TOP_10: [(u16, &str); 2] = [
    (2021, include_str!("../data/owasp-top-10-2021.tsv")),
    (2025, include_str!("../data/owasp-top-10-2025.tsv")),
];

/// A category of one year's OWASP Top 10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Of the list: 2021 or 2025.
    pub year: u16,
    /// `A01` to `A10`.
    pub id: &'static str,
    /// Such as `Injection`.
    pub name: &'static str,
    /// Ascending.
    weaknesses: Vec<u32>,
}

impl Category {
    /// The CWE numbers that the category lists, ascending.
    pub fn weaknesses(&self) -> &[u32] {
        &self.weaknesses
    }
}

/// By number, ascending.
static BY_NUMBER: LazyLock<Vec<(u32, &'static str)>> = LazyLock::new(|| {
    let fields = rows(NAMES).filter_map(|row| row.split_once('\t'));
    fields
        .filter_map(|(number, name)| Some((number.parse().ok()?, name)))
        .collect()
});

static CATEGORIES: LazyLock<Vec<Category>> = LazyLock::new(|| {
    let lists = TOP_10.into_iter();
    lists
        .flat_map(|(year, list)| rows(list).filter_map(move |row| category(year, row)))
        .collect()
});

/// What MITRE calls a weakness, or a category that tools still report.
pub fn name(cwe: u32) -> Option<&'static str> {
    let at = BY_NUMBER.binary_search_by_key(&cwe, |(number, _)| *number).ok()?;
    Some(BY_NUMBER[at].1)
}

/// MITRE's page about a weakness.
pub fn page(cwe: u32) -> String {
    format!("https://cwe.mitre.org/data/definitions/{cwe}.html")
}

/// The categories that list a weakness, of each year one at most.
pub fn owasp(cwe: u32) -> impl Iterator<Item = &'static Category> {
    let lists = move |category: &&Category| category.weaknesses.binary_search(&cwe).is_ok();
    CATEGORIES.iter().filter(lists)
}

/// All categories, the older list first, each in its order.
pub fn categories() -> &'static [Category] {
    &CATEGORIES
}

/// The version of CWE that the names are from, as its file tells it.
pub fn version() -> &'static str {
    let mut heads = NAMES.lines().take_while(|line| line.starts_with('#'));
    heads
        .find_map(|line| line.strip_prefix("# version: "))
        .unwrap_or_default()
}

/// The lines that are no comment.
fn rows(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.starts_with('#'))
}

fn category(year: u16, row: &'static str) -> Option<Category> {
    let mut fields = row.split('\t');
    let (id, name, numbers) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Category {
        year,
        id,
        name,
        weaknesses: numbers
            .split(' ')
            .filter_map(|number| number.parse().ok())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cwe: u32) -> Vec<String> {
        owasp(cwe)
            .map(|category| format!("{}:{}", category.id, category.year))
            .collect()
    }

    #[test]
    fn every_row_of_the_names_is_understood_once_and_in_order() {
        assert_eq!(BY_NUMBER.len(), rows(NAMES).count());
        assert_eq!(BY_NUMBER.len(), 985);
        let order = BY_NUMBER.windows(2).find(|pair| pair[0].0 >= pair[1].0);
        assert_eq!(order, None);
        let odd = BY_NUMBER
            .iter()
            .find(|(_, name)| name.trim() != *name || name.len() < 5 || name.starts_with("DEPRECATED"));
        assert_eq!(odd, None);
        assert!(version().starts_with("4.15 of 2024-07-16"), "{}", version());
    }

    #[test]
    fn well_known_weaknesses_have_their_names() {
        for (number, start) in [
            (22, "Improper Limitation of a Pathname to a Restricted Directory"),
            (79, "Improper Neutralization of Input During Web Page Generation"),
            (
                89,
                "Improper Neutralization of Special Elements used in an SQL Command",
            ),
            (310, "Cryptographic Issues"),
            (787, "Out-of-bounds Write"),
            (798, "Use of Hard-coded Credentials"),
            (
                1434,
                "Insecure Setting of Generative AI/ML Model Inference Parameters",
            ),
        ] {
            assert!(
                name(number).is_some_and(|name| name.starts_with(start)),
                "{number}"
            );
        }
        // a view, a deprecated one, and none
        for number in [1000, 100, 0, u32::MAX] {
            assert_eq!(name(number), None, "{number}");
        }
    }

    #[test]
    fn weaknesses_stand_where_the_lists_put_them() {
        assert_eq!(of(79), ["A03:2021", "A05:2025"]);
        assert_eq!(of(89), ["A03:2021", "A05:2025"]);
        assert_eq!(of(22), ["A01:2021", "A01:2025"]);
        assert_eq!(of(798), ["A07:2021", "A07:2025"]);
        assert_eq!(of(918), ["A10:2021", "A01:2025"]);
        assert_eq!(of(327), ["A02:2021", "A04:2025"]);
        assert_eq!(of(209), ["A04:2021", "A10:2025"]);
        assert_eq!(of(1104), ["A06:2021", "A03:2025"]);
        assert_eq!(of(477), ["A03:2025"]);
        assert_eq!(of(787), Vec::<String>::new());
        let injection = owasp(79).last().unwrap();
        assert_eq!(injection.name, "Injection");
    }

    #[test]
    fn each_list_has_ten_categories_with_as_many_weaknesses_as_published() {
        for (year, counts) in [
            (2021, [34, 29, 32, 40, 20, 3, 22, 10, 4, 1]),
            (2025, [40, 16, 6, 32, 37, 39, 36, 14, 5, 24]),
        ] {
            let list: Vec<&Category> = categories().iter().filter(|one| one.year == year).collect();
            let ids: Vec<String> = (1..=10).map(|number| format!("A{number:02}")).collect();
            assert!(list.iter().map(|one| one.id).eq(ids.iter().map(String::as_str)));
            assert!(list.iter().map(|one| one.weaknesses().len()).eq(counts), "{year}");
        }
        assert_eq!(categories().len(), 20);
    }

    #[test]
    fn every_listed_weakness_has_a_name_and_one_place_in_its_list() {
        for year in [2021, 2025] {
            let lists = categories().iter().filter(|one| one.year == year);
            let mut listed: Vec<u32> = Vec::new();
            for one in lists {
                assert!(one.weaknesses().is_sorted(), "{}:{year}", one.id);
                listed.extend(one.weaknesses());
            }
            let nameless = listed.iter().find(|number| name(**number).is_none());
            assert_eq!(nameless, None);
            let count = listed.len();
            listed.sort_unstable();
            listed.dedup();
            assert_eq!(listed.len(), count, "{year}");
        }
    }
}
