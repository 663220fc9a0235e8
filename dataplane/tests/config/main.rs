//! The configuration: files and what is told of them, and changes at run time.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod apply;
mod checks;
mod faults;
mod files;
mod groups;
mod limits;
mod properties;
mod trunks;

use std::path::Path;

use dataplane::config;

/// All that is told of a faulty text, as people see it.
fn faults_of(text: &str) -> String {
    match config::parse(Path::new("t.toml"), text) {
        Ok((config, _)) => panic!("not refused: {config:?}"),
        Err(faults) => faults.to_string(),
    }
}

/// The messages of a faulty text without places and excerpts: "what | remedy".
fn words_of(text: &str) -> Vec<String> {
    match config::parse(Path::new("t.toml"), text) {
        Ok((config, _)) => panic!("not refused: {config:?}"),
        Err(faults) => faults.iter().map(|fault| format!("{} | {}", fault.what, fault.remedy)).collect(),
    }
}

/// All that is told of a text that is accepted, as people see it.
fn warnings_of(text: &str) -> String {
    match config::parse(Path::new("t.toml"), text) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(faults) => panic!("refused:\n{faults}"),
    }
}

/// A right file with `more` appended.
fn with(more: &str) -> String {
    let right = r#"
[[port]]
name = "up"
role = "uplink"
[[port]]
name = "w"
vni = 100
[[vni]]
id = 100
local = "192.0.2.1"
remotes = ["192.0.2.2"]
"#;
    format!("{right}{more}")
}
