//! Alerts that conditions fit, and those that they do not.

use super::*;

fn subject() -> Subject<'static> {
    Subject {
        tool: "semgrep",
        rule: "javascript.express.sqli",
        path: Some("./src\\tests/db/user.js"),
        cwe: &[89, 564],
        target: "",
        place: Some(("file", "src/tests/db/user.js")),
        severity: Severity::High,
    }
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn fits(conditions: Conditions, alert: &Subject<'_>) -> bool {
    Matcher::new(conditions).unwrap().fits(alert)
}

#[test]
fn all_lists_must_fit_with_one_value_each() {
    let both = |tools: &[&str], cwe: &[u32]| Conditions {
        tools: list(tools),
        cwe: cwe.to_vec(),
        ..Conditions::default()
    };
    for (conditions, expected) in [
        (both(&["semgrep"], &[]), true),
        (both(&["bandit", "semgrep"], &[79, 564]), true),
        (both(&["semgrep"], &[79]), false),
        (both(&["bandit"], &[89]), false),
        (both(&["sem"], &[]), false),
    ] {
        assert_eq!(fits(conditions.clone(), &subject()), expected, "{conditions:?}");
    }
    let severe = |severities: &[Severity]| Conditions {
        severities: severities.to_vec(),
        ..Conditions::default()
    };
    assert!(fits(severe(&[Severity::Low, Severity::High]), &subject()));
    assert!(!fits(severe(&[Severity::Low]), &subject()));
}

#[test]
fn a_glob_of_paths_stays_in_its_folder_unless_it_has_two_stars() {
    for (glob, expected) in [
        ("src/tests/**", true),
        ("**/tests/**", true),
        ("**/*.js", true),
        ("src/*/user.js", false),
        ("*.js", false),
        ("src/tests/db/user.{js,ts}", true),
        ("SRC/**", false),
    ] {
        let conditions = Conditions {
            paths: list(&[glob]),
            ..Conditions::default()
        };
        assert_eq!(fits(conditions.clone(), &subject()), expected, "{glob}");
        let nowhere = Subject {
            path: None,
            ..subject()
        };
        assert!(!fits(conditions, &nowhere), "{glob}");
    }
}

#[test]
fn a_glob_of_rules_crosses_dots_and_slashes() {
    for (glob, rule, expected) in [
        ("javascript.*", "javascript.express.sqli", true),
        ("*sqli", "javascript.express.sqli", true),
        ("*/sqli", "a/b/sqli", true),
        ("javascript", "javascript.express.sqli", false),
        ("JAVASCRIPT.*", "javascript.express.sqli", false),
    ] {
        let conditions = Conditions {
            rules: list(&[glob]),
            ..Conditions::default()
        };
        let alert = Subject { rule, ..subject() };
        assert_eq!(fits(conditions, &alert), expected, "{glob} {rule}");
    }
}

#[test]
fn a_target_is_known_by_host_port_name_and_url() {
    let url = ("url", "https://Shop.test/users?id=1");
    for (glob, target, place, expected) in [
        ("shop.test", "", Some(url), true),
        ("shop.test:443", "", Some(url), true),
        ("*.test", "", Some(url), true),
        ("https://shop.test/users*", "", Some(url), true),
        ("shop.test:80", "", Some(url), false),
        ("other.test", "", Some(url), false),
        ("staging.*", "staging.shop.test:443", Some(url), true),
        ("10.0.0.7", "", Some(("endpoint", "10.0.0.7:22")), true),
        ("::1", "", Some(("endpoint", "[::1]:443")), true),
        ("mail.shop.test", "", Some(("domain", "mail.shop.test.")), true),
        (
            "shop.test:80",
            "",
            Some(("flow", "10.0.0.1:40000 > shop.test:80")),
            true,
        ),
        ("*", "", Some(("file", "src/a.js")), false),
        ("*", "", None, false),
    ] {
        let conditions = Conditions {
            targets: list(&[glob]),
            ..Conditions::default()
        };
        let alert = Subject {
            target,
            place,
            ..subject()
        };
        assert_eq!(fits(conditions, &alert), expected, "{glob} {target} {place:?}");
    }
}

#[test]
fn conditions_are_bounded_and_a_rule_for_everything_is_none() {
    let long = "x".repeat(VALUE_CHARACTERS_MAX + 1);
    let many = vec!["a".to_owned(); VALUES_MAX + 1];
    let all = Conditions::default;
    for (conditions, field) in [
        (all(), "conditions"),
        (Conditions { tools: many, ..all() }, "tools"),
        (
            Conditions {
                rules: list(&[&long]),
                ..all()
            },
            "rules",
        ),
        (
            Conditions {
                paths: list(&["[a"]),
                ..all()
            },
            "paths",
        ),
        (
            Conditions {
                paths: list(&["{a"]),
                ..all()
            },
            "paths",
        ),
        (
            Conditions {
                targets: list(&[""]),
                ..all()
            },
            "targets",
        ),
        (
            Conditions {
                targets: list(&["a\nb"]),
                ..all()
            },
            "targets",
        ),
    ] {
        let refused = Matcher::new(conditions.clone()).unwrap_err();
        assert_eq!(refused.field, field, "{conditions:?}");
    }
}

#[test]
fn the_first_rule_of_each_kind_that_fits_acts() {
    let rule = |name: &str, rules: &str, action: Action| ReadyRule {
        id: AlertRuleId::fresh(),
        name: name.to_owned(),
        matcher: Matcher::new(Conditions {
            rules: list(&[rules]),
            ..Conditions::default()
        })
        .unwrap(),
        action,
    };
    let dismiss = |reason| Action::Dismiss {
        reason,
        comment: None,
        until: None,
    };
    let rate = |severity| Action::SetSeverity { severity };
    let book = RuleBook {
        rules: vec![
            rule("of another", "python.*", rate(Severity::Info)),
            rule("low", "*sqli", rate(Severity::Low)),
            rule("first", "*", dismiss(DismissalReason::WontFix)),
            rule("second", "*", dismiss(DismissalReason::UsedInTests)),
            rule("medium", "*", rate(Severity::Medium)),
        ],
    };
    let chosen = book.choose(&subject());
    let names = [chosen.dismisses, chosen.rates].map(|rule| rule.map(|rule| rule.name.as_str()));
    assert_eq!(names, [Some("first"), Some("low")]);
    assert!(RuleBook::default().choose(&subject()).dismisses.is_none());
}

#[test]
fn an_acceptance_that_is_over_does_nothing() {
    let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
    let until = |until| Action::Dismiss {
        reason: DismissalReason::AcceptedRisk,
        comment: None,
        until,
    };
    assert!(until(Some(at(0))).is_over(at(0)));
    assert!(!until(Some(at(1))).is_over(at(0)));
    assert!(!until(None).is_over(at(0)));
    assert!(
        !Action::SetSeverity {
            severity: Severity::Low
        }
        .is_over(at(0))
    );
}
