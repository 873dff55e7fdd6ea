//! A plugin's cases: every input of a folder through the real host, compared with what stands beside it.
//!
//! `cases/**/NAME` is an input, packed by gzip or not; `NAME.expected.json` is its whole answer: outcome,
//! diagnostics, artifacts and findings. `NAME.options.json` are the task's options, when there are any.
//! Each input is also cut in half, which a plugin must survive: reports end early.
//!
//! Not here: packed inputs are unpacked by the caller.

mod answer;
mod sink;

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tamiz_host::{CancelFlag, ConvertFailure, ConvertRequest, Grants, Input, Plugin, RunLimits, ScanRequest};

use crate::author::file_error::{FileError, cannot};
use crate::services::{PluginServices, SourceTree};
use answer::Answer;
use sink::KeepingSink;

/// Inputs of one folder of cases.
const CASES_MAX: usize = 10_000;
/// Folders inside each other.
const DEPTH_MAX: usize = 16;
/// One expected answer, in bytes: those of more findings are shortened when they are written.
const EXPECTED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Options, in bytes: what a task may have is less.
const OPTIONS_BYTES_MAX: u64 = 1024 * 1024;
/// Lines of one difference: more is not read.
const DIFFERENCE_LINES_MAX: usize = 200;
/// Identities of secrets must not change between two runs, and these secrets are known.
const CASES_KEY: &[u8] = b"tamiz plugin test";
const EXPECTED: &str = ".expected.json";
const OPTIONS: &str = ".options.json";
/// Files of a folder of cases that are no inputs.
const NO_INPUTS: &[&str] = &["README.md", "LICENSE"];

/// Why the cases could not be run.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing to test.
    #[error("{} has no input: put a report into it and run `tamiz plugin test --bless`", folder.display())]
    None {
        /// The folder.
        folder: PathBuf,
    },
    /// More than a folder of cases has.
    #[error("{} has more than {CASES_MAX} inputs or {DEPTH_MAX} folders inside each other", folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
    },
    /// The host, not the plugin.
    #[error("the host could not convert {name}")]
    Host {
        /// The input.
        name: String,
        /// Why not.
        #[source]
        source: ConvertFailure,
    },
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// Its path from the folder of cases.
    pub name: String,
}

/// How one case went.
#[derive(Debug)]
pub struct Checked {
    /// The input.
    pub name: String,
    /// One line: what came out.
    pub summary: String,
    /// Against what is expected.
    pub verdict: Verdict,
    /// What the plugin did with the first half of the input, when it did not survive it.
    pub half: Option<String>,
    /// What the plugin logged while it converted the whole input.
    pub log: Vec<String>,
}

/// An answer beside what was expected.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same.
    Same,
    /// Another; lines with `-` and `+`.
    Different(String),
    /// Nothing stands beside the input.
    Unexpected,
    /// Written as what is expected from now on.
    Blessed,
}

impl Checked {
    /// Whether there is nothing to do about it.
    pub const fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Same | Verdict::Blessed) && self.half.is_none()
    }
}

impl Case {
    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        PathBuf::from(path)
    }
}

/// The inputs below a folder, in the order of their names.
///
/// # Errors
/// [`CasesError`].
pub fn find(folder: &Path) -> Result<Vec<Case>, CasesError> {
    let mut cases = Vec::new();
    walk(folder, folder, 0, &mut cases)?;
    if cases.is_empty() {
        let folder = folder.to_owned();
        return Err(CasesError::None { folder });
    }
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(cases)
}

fn walk(root: &Path, folder: &Path, depth: usize, cases: &mut Vec<Case>) -> Result<(), CasesError> {
    for entry in fs::read_dir(folder).map_err(cannot("read", folder))? {
        let entry = entry.map_err(cannot("read", folder))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = fs::metadata(&path).map_err(cannot("read", &path))?;
        if cases.len() >= CASES_MAX || depth > DEPTH_MAX {
            let folder = root.to_owned();
            return Err(CasesError::TooMany { folder });
        }
        if kind.is_dir() {
            walk(root, &path, depth + 1, cases)?;
        } else if kind.is_file() && is_input(&name) {
            let inner = path.strip_prefix(root).unwrap_or(&path);
            let name = inner.display().to_string();
            cases.push(Case { path, name });
        }
    }
    Ok(())
}

fn is_input(name: &str) -> bool {
    !name.starts_with('.')
        && !name.ends_with(EXPECTED)
        && !name.ends_with(OPTIONS)
        && !NO_INPUTS.contains(&name)
}

/// Converts the input and compares, or writes the answer as the expected one. `report` is the input's
/// plain bytes.
///
/// # Errors
/// [`CasesError`]: a file, or the host; a plugin's failure is an answer like others.
pub fn check(
    plugin: &Plugin,
    case: &Case,
    report: &File,
    limits: &RunLimits,
    bless: bool,
) -> Result<Checked, CasesError> {
    let options = options(case)?;
    let size_bytes = report.metadata().map_err(cannot("read", &case.path))?.len();
    let run = |size_bytes| {
        let input = input(case, report, size_bytes).map_err(cannot("read", &case.path))?;
        let answer = convert(plugin, input, &options, limits.clone());
        match answer.hosts_failure() {
            Ok(answer) => Ok(answer),
            Err(source) => Err(CasesError::Host {
                name: case.name.clone(),
                source,
            }),
        }
    };
    let answer = run(size_bytes)?;
    let half = run(size_bytes / 2)?;
    Ok(Checked {
        name: case.name.clone(),
        summary: answer.summary(),
        verdict: compare(case, &answer.written(), bless)?,
        half: half.crash(),
        log: answer.log,
    })
}

fn compare(case: &Case, answer: &Value, bless: bool) -> Result<Verdict, CasesError> {
    let written = format!("{answer:#}\n");
    let path = case.beside(EXPECTED);
    let expected = read(&path, EXPECTED_BYTES_MAX)?;
    if bless {
        if expected.as_deref() == Some(written.as_str()) {
            return Ok(Verdict::Same);
        }
        fs::write(&path, written).map_err(cannot("write", &path))?;
        return Ok(Verdict::Blessed);
    }
    let Some(expected) = expected else {
        return Ok(Verdict::Unexpected);
    };
    // Compared as values: an author's editor may indent otherwise.
    match serde_json::from_str::<Value>(&expected) {
        Ok(expected) if expected == *answer => Ok(Verdict::Same),
        Ok(expected) => Ok(Verdict::Different(difference(
            &format!("{expected:#}\n"),
            &written,
        ))),
        Err(_) => Ok(Verdict::Different(difference(&expected, &written))),
    }
}

/// What changed, with some lines around it.
fn difference(expected: &str, found: &str) -> String {
    let compared = similar::TextDiff::from_lines(expected, found);
    let text = compared
        .unified_diff()
        .context_radius(2)
        .header("expected", "found")
        .to_string();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let left_out = lines.len().saturating_sub(DIFFERENCE_LINES_MAX);
    lines.truncate(DIFFERENCE_LINES_MAX);
    if left_out > 0 {
        lines.push(format!("… and {left_out} more lines"));
    }
    lines.join("\n")
}

fn options(case: &Case) -> Result<String, CasesError> {
    let path = case.beside(OPTIONS);
    Ok(read(&path, OPTIONS_BYTES_MAX)?.unwrap_or_else(|| "{}".to_owned()))
}

/// A text that may be missing.
fn read(path: &Path, bytes_max: u64) -> Result<Option<String>, CasesError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", path)(error).into()),
    };
    let mut text = String::new();
    let bytes = file.take(bytes_max + 1).read_to_string(&mut text);
    if bytes.map_err(cannot("read", path))? as u64 > bytes_max {
        return Err(cannot("read", path)(io::ErrorKind::FileTooLarge.into()).into());
    }
    Ok(Some(text))
}

/// The first `size_bytes` of the report.
fn input(case: &Case, report: &File, size_bytes: u64) -> io::Result<Input> {
    let name = case
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut whole = report.try_clone()?;
    whole.rewind()?;
    if size_bytes == report.metadata()?.len() {
        return Ok(Input::seekable(name, whole).with_size_bytes(size_bytes));
    }
    let mut half = tempfile::tempfile()?;
    io::copy(&mut whole.take(size_bytes), &mut half)?;
    half.rewind()?;
    Ok(Input::seekable(name, half).with_size_bytes(size_bytes))
}

fn convert(plugin: &Plugin, input: Input, options: &str, limits: RunLimits) -> Answer {
    Answer::new(plugin.convert(ConvertRequest {
        inputs: vec![input],
        request: ScanRequest::of_report(options),
        grants: Grants::none(),
        limits,
        sink: Box::new(KeepingSink::default()),
        services: Box::new(PluginServices::new(CASES_KEY, SourceTree::default())),
        cancel: CancelFlag::new(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inputs_are_found_at_any_depth_without_what_stands_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        for name in [
            "b.json",
            "b.json.expected.json",
            "b.json.options.json",
            "README.md",
            ".x",
            "more/a.xml.gz",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let cases = find(folder.path()).unwrap();
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["b.json", "more/a.xml.gz"]);
    }

    #[test]
    fn an_empty_folder_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(folder.path()).unwrap_err().to_string();
        assert!(error.contains("--bless"), "{error}");
    }

    #[test]
    fn an_answer_is_new_then_blessed_then_the_same_then_different() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), "").unwrap();
        let case = find(folder.path()).unwrap().remove(0);
        let answer = json!({ "findings": [{ "title": "one" }] });
        assert_eq!(compare(&case, &answer, false).unwrap(), Verdict::Unexpected);
        assert_eq!(compare(&case, &answer, true).unwrap(), Verdict::Blessed);
        assert_eq!(compare(&case, &answer, true).unwrap(), Verdict::Same);
        // Another layout of the same values is no difference.
        fs::write(case.beside(EXPECTED), answer.to_string()).unwrap();
        assert_eq!(compare(&case, &answer, false).unwrap(), Verdict::Same);
        let other = json!({ "findings": [{ "title": "two" }] });
        let Verdict::Different(text) = compare(&case, &other, false).unwrap() else {
            panic!("they differ");
        };
        assert!(
            text.contains("-      \"title\": \"one\"") && text.contains("+      \"title\": \"two\""),
            "{text}"
        );
    }

    #[test]
    fn a_long_difference_is_cut() {
        let long = |word: &str| format!("{word}\n").repeat(500);
        let text = difference(&long("a"), &long("b"));
        assert_eq!(text.lines().count(), DIFFERENCE_LINES_MAX + 1);
        assert!(text.ends_with("more lines"));
    }
}
