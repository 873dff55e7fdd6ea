//! What `tamiz config check` prints: every key, what holds, where it came from, what it overrode.

use std::fmt::Write as _;

use super::layers::{ConfigError, Loaded, Setting};

/// The table of all keys, for people; the same whether the configuration holds or not.
pub fn render(outcome: &Result<Loaded, Box<ConfigError>>) -> String {
    let settings = match outcome {
        Ok(loaded) => &loaded.settings,
        Err(error) => &error.settings,
    };
    let rows: Vec<[String; 3]> = settings.iter().map(row).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let (name_width, value_width) = (width(0), width(1));
    let mut text = String::new();
    for [name, value, origin] in &rows {
        let line = format!("{name:name_width$}  {value:value_width$}  {origin}");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn row(setting: &Setting) -> [String; 3] {
    let name = setting.key.name.to_owned();
    let Some(((origin, text), overridden)) = setting.layers.split_last() else {
        return [name, "(unset)".to_owned(), "default".to_owned()];
    };
    let overrode: Vec<String> = overridden
        .iter()
        .rev()
        .map(|(origin, text)| format!("{} ({origin})", setting.shown(text)))
        .collect();
    let origin = if overrode.is_empty() {
        origin.to_string()
    } else {
        format!("{origin}, over {}", overrode.join(", "))
    };
    [name, setting.shown(text), origin]
}

#[cfg(test)]
mod tests {
    use super::super::layers::{Sources, resolve};
    use super::*;

    #[test]
    fn the_table_names_value_origin_and_what_was_overridden_and_masks_secrets() {
        let outcome = resolve(Sources {
            environment: vec![
                ("DATABASE_URL".to_owned(), "postgres://u:hunter2@h/db".to_owned()),
                ("TAMIZ_LISTEN".to_owned(), "127.0.0.1:9000".to_owned()),
            ],
            ..Sources::default()
        });
        let table = render(&outcome);
        let line = |name: &str| {
            table
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        assert!(line("listen").contains("127.0.0.1:9000"));
        assert!(line("listen").ends_with("environment TAMIZ_LISTEN, over 127.0.0.1:8600 (default)"));
        assert!(line("database_url").contains("postgres://u:***@h/db"));
        assert!(line("tool_path").contains("(unset)"));
        assert!(!table.contains("hunter2"));
    }
}
