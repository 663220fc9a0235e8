//! The files in `configs/`: each is right, and the reference has every key with its default.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dataplane::config::{self, Origin, Presence, render, schema};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

#[test]
fn every_file_is_right_and_causes_no_warning() {
    let mut seen = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let (config, warnings) =
            config::load_with_warnings(&path).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(warnings.is_empty(), "{warnings}");
        let again = config::parse(&path, &render(&config)).unwrap_or_else(|faults| panic!("{faults}")).0;
        assert_eq!(again, config, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 7, "{seen} files found in {}", directory().display());
}

/// What the reference says of one key: the values of its lines, and whether each is commented out.
type Lines = BTreeMap<(String, String), Vec<(String, bool)>>;

/// The keys of the reference by table and name. A key that is commented out is behind `# `.
fn reference() -> Lines {
    let text = fs::read_to_string(directory().join("reference.toml")).unwrap();
    let mut lines = Lines::new();
    let mut table = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
            continue;
        }
        let (line, commented) = line.strip_prefix("# ").map_or((line, false), |line| (line, true));
        let Some((key, value)) = line.split_once(" = ") else { continue };
        if key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            lines.entry((table.clone(), key.to_owned())).or_default().push((value.to_owned(), commented));
        }
    }
    lines
}

/// A value of a key as the daemon understands it, so that `"300s"` is `"5m"`.
fn understood(table: &str, key: &str, value: &str) -> String {
    let (header, needed) = match table {
        "daemon" | "umem" => (format!("[{table}]"), ""),
        "port" => ("[[port]]".to_owned(), "name = \"p\"\nrole = \"uplink\"\n"),
        "vni" if key == "key" => {
            ("[[vni]]".to_owned(), "id = 1\nlocal = \"192.0.2.1\"\nencapsulation = \"gre\"\n")
        }
        "vni" => ("[[vni]]".to_owned(), "id = 1\nlocal = \"192.0.2.1\"\n"),
        "remote" => ("[[remote]]".to_owned(), "vni = 1\naddress = \"192.0.2.2\"\n"),
        "group" => ("[[group]]".to_owned(), "vni = 1\nname = \"g\"\nmembers = [\"192.0.2.2\"]\n"),
        "fdb" => ("[[fdb]]".to_owned(), "vni = 1\nmac = \"02:00:00:00:00:01\"\nremote = \"192.0.2.2\"\n"),
        "neighbour" => {
            ("[[neighbour]]".to_owned(), "vni = 1\naddress = \"2001:db8::1\"\nmac = \"02:00:00:00:00:01\"\n")
        }
        _ => (format!("[[{table}]]"), ""),
    };
    let base = "[[vni]]\nid = 1\nlocal = \"192.0.2.1\"\n[[port]]\nname = \"u\"\nrole = \"uplink\"\n";
    let peer = "[[remote]]\nvni = 1\naddress = \"192.0.2.2\"\n";
    let base = match table {
        "remote" | "neighbour" => base.to_owned(),
        "fdb" | "group" => format!("{base}{peer}"),
        _ => String::new(),
    };
    let text = format!("{base}{header}\n{needed}{key} = {value}\n");
    let (config, _) =
        config::parse(Path::new("reference"), &text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    format!("{config:?}")
}

#[test]
fn the_reference_names_every_key_with_its_default() {
    let lines = reference();
    for table in schema() {
        for key in &table.keys {
            let named = lines.get(&(table.name.to_owned(), key.name.to_owned()));
            let named =
                named.unwrap_or_else(|| panic!("reference.toml has no `{}` in {}", key.name, table.header()));
            match &key.presence {
                Presence::Default(default) => {
                    for (value, _) in named {
                        assert_eq!(
                            understood(table.name, key.name, value),
                            understood(table.name, key.name, &default.to_string()),
                            "`{}` of {} in reference.toml is not the default",
                            key.name,
                            table.header()
                        );
                    }
                }
                Presence::Required => {
                    assert!(named.iter().all(|(_, commented)| !commented), "`{}` must be there", key.name);
                }
                Presence::Optional => {}
            }
        }
    }
}

#[test]
fn the_reference_names_no_key_that_there_is_not() {
    let schema = schema();
    for (table, key) in reference().keys() {
        let known =
            schema.iter().any(|known| known.name == table && known.keys.iter().any(|it| it.name == key));
        assert!(known, "reference.toml has `{key}` in [{table}]");
    }
}

#[test]
fn every_key_is_described() {
    for table in schema() {
        assert!(!table.doc.is_empty() && !table.keys.is_empty(), "{}", table.name);
        for key in &table.keys {
            assert!(
                key.doc.len() > 5 && !key.doc.ends_with('.'),
                "`{}` of {}: {}",
                key.name,
                table.name,
                key.doc
            );
            assert!(!key.expected.is_empty());
        }
    }
}

#[test]
fn what_the_command_line_says_stands_in_place_of_the_file_s_at_every_reading() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vtepd.toml");
    fs::write(&file, "[daemon]\nsocket = \"/run/a.sock\"\nlog = \"warn\"\n").unwrap();
    let read = |socket, log| Origin { file: Some(file.clone()), socket, log }.load().unwrap().0.daemon;
    let of_file = read(None, None);
    assert_eq!((of_file.socket, of_file.log), ("/run/a.sock".into(), "warn".to_owned()));
    let given = read(Some("/run/b.sock".into()), Some("debug".to_owned()));
    assert_eq!((given.socket, given.log), ("/run/b.sock".into(), "debug".to_owned()));
    let nothing = Origin { log: Some("debug".to_owned()), ..Origin::default() };
    assert_eq!(nothing.load().unwrap().0.daemon.log, "debug");
}
