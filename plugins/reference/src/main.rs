//! Prints `docs/plugin-api.md`: the world of `wit/v1` for people who write plugins.
//!
//! A test holds the committed page to what this prints. How to print a page is in [`page`].

mod page;

use std::path::Path;
use std::process::ExitCode;

/// The world's folder, from this crate's.
const WIT: &str = "../../wit/v1";

fn main() -> ExitCode {
    match page::of_world(&Path::new(env!("CARGO_MANIFEST_DIR")).join(WIT)) {
        Ok(page) => {
            print!("{page}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{WIT, page};

    #[test]
    fn the_committed_page_is_what_the_world_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = page::of_world(&root.join(WIT)).expect("the world");
        let committed = std::fs::read_to_string(root.join("../../docs/plugin-api.md")).unwrap_or_default();
        assert!(
            page == committed,
            "docs/plugin-api.md is not what wit/v1 says: renew it by `make plugin-api`"
        );
    }

    #[test]
    fn every_type_and_function_has_a_heading_and_links_lead_to_one() {
        let page = page::of_world(&Path::new(env!("CARGO_MANIFEST_DIR")).join(WIT)).expect("the world");
        for heading in [
            "### finding",
            "### input",
            "### open",
            "### convert",
            "## Interface records",
        ] {
            assert!(page.contains(&format!("{heading}\n")), "{heading}");
        }
        for link in page
            .split("](#")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            assert!(page.contains(&format!("### {link}\n")), "a link to {link}");
        }
    }
}
