//! Small rooms: how long files and functions are, and what a file opens with.

use crate::rust_text::{block_end, code_only, line_of, words};
use crate::{check, exceptions, tree};

/// Lines of one file with its tests.
const FILE_LINES_MAX: usize = 500;
/// Lines of one function with its signature: a screen.
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn files_have_at_most_500_lines() {
    let rooms = ["rs", "sql", "wit", "sh", "toml", ""];
    let long: Vec<(String, usize)> = tree::files()
        .filter(|file| rooms.contains(&file.extension()) && !file.path.ends_with("LICENSE"))
        .map(|file| (file.path.clone(), file.text().lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    let excepted = |path: &str| exceptions::LONG_FILES.iter().any(|(file, _)| *file == path);
    let mut problems: Vec<String> = long
        .iter()
        .filter(|(path, _)| !excepted(path))
        .map(|(path, lines)| format!("{path} has {lines} lines"))
        .collect();
    let unneeded = exceptions::LONG_FILES
        .iter()
        .filter(|(file, _)| !long.iter().any(|(path, _)| path == file));
    problems.extend(unneeded.map(|(file, _)| format!("{file} needs no exception any more")));
    check("a file has at most 500 lines", &problems);
}

#[test]
fn functions_have_at_most_70_lines() {
    let long: Vec<(String, String, usize)> = tree::rust()
        .flat_map(|file| {
            let found = functions(&code_only(file.text()));
            let long = found.into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
            long.map(|(name, lines)| (file.path.clone(), name, lines))
        })
        .collect();
    let mut problems: Vec<String> = long
        .iter()
        .filter(|(path, name, _)| {
            let excepted = |(file, function, _): &(&str, &str, &str)| file == path && function == name;
            !exceptions::LONG_FUNCTIONS.iter().any(excepted)
        })
        .map(|(path, name, lines)| format!("{path}: {name} has {lines} lines"))
        .collect();
    let unneeded = exceptions::LONG_FUNCTIONS.iter().filter(|(file, function, _)| {
        !long
            .iter()
            .any(|(path, name, _)| path == file && name == function)
    });
    problems.extend(
        unneeded.map(|(file, function, _)| format!("{file}: {function} needs no exception any more")),
    );
    check("a function has at most 70 lines", &problems);
}

/// Every function with a body: its name and its lines.
fn functions(code: &str) -> Vec<(String, usize)> {
    words(code, "fn")
        .filter_map(|at| {
            let rest = code[at + 2..].trim_start();
            let name: String = rest
                .chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect();
            // `fn(…)` is a type.
            (!name.is_empty()).then_some(())?;
            let open = body_of(code, at)?;
            let end = block_end(code, open)?;
            Some((name, line_of(code, end - 1) - line_of(code, at) + 1))
        })
        .collect()
}

/// Where the body opens: the first brace outside of parentheses and brackets, unless a `;` ends the
/// signature before.
fn body_of(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, byte) in code.as_bytes()[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at + offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[test]
fn rust_files_open_with_what_they_are_for() {
    let problems: Vec<String> = tree::rust()
        .filter(|file| !file.text().starts_with("//! "))
        .map(|file| file.path.clone())
        .collect();
    check("a Rust file opens with `//! ` and what it is for", &problems);
}

#[test]
fn functions_are_measured_with_their_signature() {
    let code = "fn a(x: [u8; 3])\nwhere\n{\n  1\n}\ntrait T { fn b(); }\ntype F = fn(u8);";
    assert_eq!(functions(code), [("a".to_owned(), 5)]);
}
