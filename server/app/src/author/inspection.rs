//! What a component is, wants and weighs, as one document for people and programs.

use serde::Serialize;
use serde_json::Value;
use tamiz_host::{Census, ComponentRefusal, Plugin, RunLimits};

use super::advice;
use super::manifest::Manifest;

/// The version of the document; raised when a field changes its meaning or goes away.
pub const JSON_VERSION: u32 = 1;

/// A component, looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// [`JSON_VERSION`].
    pub version: u32,
    /// As the plugin describes itself.
    pub plugin: About,
    /// The interfaces that it imports.
    pub imports: Vec<Import>,
    /// The component, in bytes.
    pub size_bytes: u64,
    /// Of its bytes, lower-case hex.
    pub sha256: String,
    /// What is in it, beside what a host loads.
    pub census: Vec<Counted>,
    /// What one conversion may use up, unless a plan or an operator says otherwise.
    pub limits: Vec<Limit>,
    /// What the project says, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectWords>,
}

/// What a plugin says about itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The world that it was built against.
    pub world: String,
    /// What it scans.
    pub scan_type: String,
    /// What it reads.
    pub formats: Vec<Format>,
    /// What it wants beyond conversion.
    pub capabilities: Vec<String>,
    /// JSON Schema.
    pub options_schema: Value,
}

/// One format.
#[derive(Debug, Serialize)]
pub struct Format {
    /// Its name.
    pub name: String,
    /// The tools that write it.
    pub tools: Vec<String>,
}

/// One import.
#[derive(Debug, Serialize)]
pub struct Import {
    /// The interface.
    pub name: String,
    /// What it is for.
    pub meaning: &'static str,
    /// The capability without which it is of no use.
    pub capability: Option<&'static str>,
}

/// A number and its ceiling.
#[derive(Debug, Serialize)]
pub struct Counted {
    /// Of what.
    pub what: &'static str,
    /// How many.
    pub found: u64,
    /// How many a host loads.
    pub ceiling: u64,
}

/// A limit of one conversion.
#[derive(Debug, Serialize)]
pub struct Limit {
    /// On what.
    pub what: &'static str,
    /// How much.
    pub value: u64,
    /// Of what.
    pub unit: &'static str,
}

/// What `tamiz-plugin.toml` adds for readers.
#[derive(Debug, Serialize)]
pub struct ProjectWords {
    /// What it is written in.
    pub language: &'static str,
    /// One line.
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Where to read more.
    pub homepage: Option<String>,
}

impl Inspection {
    /// Looks at a loaded plugin, its bytes and, when it was built from a project, the project's words.
    ///
    /// # Errors
    /// [`ComponentRefusal`] when the bytes are not the plugin's.
    pub fn of(
        plugin: &Plugin,
        component: &[u8],
        limits: &RunLimits,
        manifest: Option<&Manifest>,
    ) -> Result<Self, ComponentRefusal> {
        Ok(Self {
            version: JSON_VERSION,
            plugin: about(plugin),
            imports: plugin.imports().iter().map(|name| import(name)).collect(),
            size_bytes: plugin.size_bytes(),
            sha256: plugin.sha256().to_owned(),
            census: counted(Census::of(component)?),
            limits: of_conversion(limits),
            project: manifest.map(words),
        })
    }

    /// For people: a word and its value in each line.
    pub fn text(&self) -> String {
        let about = &self.plugin;
        let mut lines = vec![
            line("name", &about.name),
            line("version", &about.version),
            line("world", &format!("tamiz:scanner {}", about.world)),
            line("scan type", &about.scan_type),
            line("size", &format!("{} bytes", self.size_bytes)),
            line("sha256", &self.sha256),
        ];
        for import in &self.imports {
            lines.push(line("imports", &format!("{} ({})", import.name, import.meaning)));
        }
        let wanted = about.capabilities.join(", ");
        let nothing = "nothing beyond conversion";
        lines.push(line("wants", if wanted.is_empty() { nothing } else { &wanted }));
        for format in &about.formats {
            lines.push(line(
                "reads",
                &format!("{} ({})", format.name, format.tools.join(", ")),
            ));
        }
        lines.push(line("options", &about.options_schema.to_string()));
        for counted in &self.census {
            let text = format!("{} {} of {}", counted.found, counted.what, counted.ceiling);
            lines.push(line("holds", &text));
        }
        for limit in &self.limits {
            lines.push(line(
                "may use",
                &format!("{}: {} {}", limit.what, limit.value, limit.unit),
            ));
        }
        if let Some(project) = &self.project {
            lines.push(line("language", project.language));
            let more = [
                ("about", &project.description),
                ("license", &project.license),
                ("homepage", &project.homepage),
            ];
            for (word, value) in more {
                lines.extend(value.as_deref().map(|value| line(word, value)));
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

fn line(word: &str, value: &str) -> String {
    format!("{word:<10} {}", tamiz_core::text::printable(value))
}

fn about(plugin: &Plugin) -> About {
    let about = plugin.description();
    let formats = about.formats.iter().map(|format| Format {
        name: format.name.clone(),
        tools: format.tools.clone(),
    });
    About {
        name: about.name.clone(),
        version: about.version.clone(),
        world: plugin.world().to_string(),
        scan_type: about.scan_type.to_string(),
        formats: formats.collect(),
        capabilities: about
            .capabilities
            .iter()
            .map(|word| word.as_str().to_owned())
            .collect(),
        options_schema: about.options_schema.clone(),
    }
}

fn import(name: &str) -> Import {
    Import {
        name: name.to_owned(),
        meaning: advice::meaning(name),
        capability: advice::capability(name),
    }
}

fn counted(census: Census) -> Vec<Counted> {
    let most = Census::CEILINGS;
    [
        ("bytes", census.bytes, most.bytes),
        ("functions", census.functions, most.functions),
        ("core modules", census.modules, most.modules),
        ("bytes in one function", census.body_bytes, most.body_bytes),
        ("locals in one function", census.locals, most.locals),
    ]
    .map(|(what, found, ceiling)| Counted { what, found, ceiling })
    .into()
}

fn of_conversion(limits: &RunLimits) -> Vec<Limit> {
    [
        ("memory", limits.memory_bytes as u64, "bytes"),
        ("time", limits.deadline.as_secs(), "seconds"),
        ("findings", u64::from(limits.findings_max), "findings"),
        ("findings' texts", limits.finding_bytes_max, "bytes"),
        ("artifacts", limits.artifact_bytes_max, "bytes"),
        ("log", u64::from(limits.log_lines_max), "lines"),
    ]
    .map(|(what, value, unit)| Limit { what, value, unit })
    .into()
}

fn words(manifest: &Manifest) -> ProjectWords {
    ProjectWords {
        language: manifest.language.as_str(),
        description: manifest.description.clone(),
        license: manifest.license.clone(),
        homepage: manifest.homepage.clone(),
    }
}
