//! The arrows between crates, the owners of heavy dependencies, and the record of why each dependency is there, as cargo
//! sees them. What docs/ARCHITECTURE.md says in words is held here.

#![expect(
    clippy::expect_used,
    reason = "a test without cargo's answer cannot go on, and clippy takes helpers for library code"
)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates that exist once in what is compiled: two copies of a curve or a cipher are two sets of types, and twice the code
/// to trust.
const ONCE: [&str; 5] = [
    "ed25519-dalek",
    "x25519-dalek",
    "curve25519-dalek",
    "chacha20poly1305",
    "hpke",
];

/// One crate of the workspace, as its manifest declares it.
#[derive(Debug, Default)]
struct Member {
    /// What it is built from: normal and build dependencies.
    built_from: BTreeSet<String>,
    /// Those, and what its tests need.
    all: BTreeSet<String>,
}

/// The sections of RFC 2779 that ask something of a protocol, and how many requirements each has: 93 in all.
const REQUIREMENTS: [(&str, u32); 17] = [
    ("2.1", 5),
    ("2.2", 6),
    ("2.3", 7),
    ("2.4", 4),
    ("2.5", 4),
    ("3.1", 6),
    ("3.2", 5),
    ("3.3", 3),
    ("3.4", 1),
    ("4.1", 10),
    ("4.2", 1),
    ("4.3", 1),
    ("4.4", 3),
    ("5.1", 18),
    ("5.2", 6),
    ("5.3", 3),
    ("5.4", 10),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs cargo in the workspace without network, and returns what it prints.
fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(args)
        .current_dir(workspace())
        .output()
        .expect("cargo can be run");
    assert!(
        output.status.success(),
        "cargo {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// The platform that the tests run on. Packages of other platforms need not be there without network.
fn host() -> String {
    cargo(&["-vV"])
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("cargo names its host")
        .to_owned()
}

/// The members of the workspace with what they declare.
fn members() -> BTreeMap<String, Member> {
    let host = host();
    let text = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--filter-platform",
        &host,
    ]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo metadata prints JSON");
    let ids: BTreeSet<&str> = list(&metadata, "workspace_members")
        .iter()
        .map(|id| id.as_str().expect("an id is a text"))
        .collect();
    let mut members = BTreeMap::new();
    for package in list(&metadata, "packages") {
        if !ids.contains(text_of(package, "id")) {
            continue;
        }
        let mut member = Member::default();
        for dependency in list(package, "dependencies") {
            let name = text_of(dependency, "name").to_owned();
            if dependency.get("kind").and_then(Value::as_str) != Some("dev") {
                member.built_from.insert(name.clone());
            }
            member.all.insert(name);
        }
        members.insert(text_of(package, "name").to_owned(), member);
    }
    assert_eq!(members.len(), ids.len(), "every member has its package");
    members
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).expect(key)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).expect(key)
}

/// Which members declare a dependency whose name fits, for whatever purpose.
fn owners(members: &BTreeMap<String, Member>, fits: impl Fn(&str) -> bool) -> BTreeSet<&str> {
    members
        .iter()
        .filter(|(_, member)| member.all.iter().any(|name| fits(name)))
        .map(|(name, _)| name.as_str())
        .collect()
}

#[test]
fn arrows_between_crates_point_one_way() {
    let expected: [(&str, &[&str]); 6] = [
        ("porchlight-wire", &[]),
        ("porchlight-proto", &["porchlight-wire"]),
        ("porchlight-net", &["porchlight-wire"]),
        ("porchlight-store", &["porchlight-proto", "porchlight-wire"]),
        ("porchlight-rpc", &[]),
        (
            "porchlight",
            &[
                "porchlight-net",
                "porchlight-proto",
                "porchlight-rpc",
                "porchlight-store",
                "porchlight-wire",
            ],
        ),
    ];
    let members = members();
    let known: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    let named: BTreeSet<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        known, named,
        "a crate that came or went changes docs/ARCHITECTURE.md and this test"
    );
    for (name, arrows) in expected {
        // Tests may not take a way that the code may not take, either.
        let found: BTreeSet<&str> = members[name]
            .all
            .iter()
            .map(String::as_str)
            .filter(|dependency| known.contains(dependency))
            .collect();
        assert_eq!(found, arrows.iter().copied().collect(), "arrows from {name}");
    }
}

#[test]
fn heavy_dependencies_have_one_owner() {
    let members = members();
    let libp2p = owners(&members, |name| name == "libp2p" || name.starts_with("libp2p-"));
    assert_eq!(libp2p, BTreeSet::from(["porchlight-net"]));
    let sqlite = owners(&members, |name| name == "rusqlite" || name == "libsqlite3-sys");
    assert_eq!(sqlite, BTreeSet::from(["porchlight-store"]));
    assert_eq!(owners(&members, |name| name == "clap"), BTreeSet::from(["porchlight"]));
}

#[test]
fn the_core_is_built_without_the_world() {
    let members = members();
    for name in ["porchlight-wire", "porchlight-proto"] {
        for banned in [
            "tokio",
            "tokio-util",
            "futures",
            "getrandom",
            "rand",
            "anyhow",
            "tempfile",
            "tracing-subscriber",
        ] {
            assert!(
                !members[name].all.contains(banned),
                "{name} must not depend on {banned}"
            );
        }
        assert!(
            !members[name].built_from.contains("serde_json"),
            "{name} speaks CBOR; JSON is for its test vectors only"
        );
    }
    // The same seen from below: what comes in through others must not bring a runtime either.
    let compiled = cargo(&[
        "tree",
        "--locked",
        "--offline",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        "porchlight-proto",
    ]);
    let brought: BTreeSet<&str> = compiled.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        brought.contains("porchlight-wire"),
        "the tree of proto was read: {brought:?}"
    );
    for banned in ["tokio", "mio", "socket2", "libp2p", "rusqlite"] {
        assert!(!brought.contains(banned), "{banned} comes into the core");
    }
}

#[test]
fn libraries_have_typed_errors() {
    assert_eq!(
        owners(&members(), |name| name == "anyhow"),
        BTreeSet::from(["porchlight"])
    );
}

#[test]
fn what_decides_about_keys_is_compiled_once() {
    // `cargo tree` and not the metadata: that also lists what optional features would bring.
    let compiled = cargo(&[
        "tree",
        "--workspace",
        "--locked",
        "--offline",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in compiled.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    for name in ONCE {
        let found = versions.get(name).map_or(0, BTreeSet::len);
        assert_eq!(found, 1, "{name}: {:?}", versions.get(name));
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let path = workspace().join("docs/decisions.md");
    let page = std::fs::read_to_string(&path).expect("docs/decisions.md is there");
    let declared: BTreeSet<String> = members()
        .into_values()
        .flat_map(|member| member.all)
        .filter(|name| !name.starts_with("porchlight"))
        .collect();
    let explained: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once('`'))
        .filter(|(_, reason)| reason.trim_start_matches([':', ' ']).len() >= 20)
        .map(|(name, _)| name.to_owned())
        .collect();
    let missing: Vec<&String> = declared.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/decisions.md gives no reason for {missing:?}");
    // The other way round: a reason for what is not there any more misleads.
    let root = std::fs::read_to_string(workspace().join("Cargo.toml")).expect("the root manifest is there");
    let gone: Vec<&String> = explained
        .iter()
        .filter(|name| !declared.contains(*name) && !root.contains(&format!("\n{name} = ")))
        .collect();
    assert!(
        gone.is_empty(),
        "docs/decisions.md explains {gone:?}, which nothing depends on"
    );
}

/// Names of all functions in the sources of this workspace that are tests.
fn tests_by_name() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["crates", "node", "tests"]
        .map(|folder| workspace().join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the sources can be read") {
            let path = entry.expect("the sources can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("the sources are UTF-8");
                tests_in(&text, &mut found);
            }
        }
    }
    found
}

/// A function is a test if an attribute that says so stands before it.
fn tests_in(text: &str, found: &mut BTreeSet<String>) {
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        match function.and_then(|rest| rest.split_once('(')) {
            Some((name, _)) if marked => {
                found.insert(name.to_owned());
                marked = false;
            }
            Some(_) | None if line.starts_with("#[test]") || line.starts_with("#[tokio::test") => marked = true,
            Some(_) | None if line.starts_with('#') || line.starts_with("//") => {}
            Some(_) | None => marked = false,
        }
    }
}

#[test]
fn every_requirement_of_rfc_2779_has_tests_or_what_is_missing() {
    let path = workspace().join("docs/requirements.md");
    let page = std::fs::read_to_string(&path).expect("docs/requirements.md is there");
    let tests = tests_by_name();
    let expected: Vec<String> = REQUIREMENTS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}.{number}")))
        .collect();
    let mut stand = BTreeSet::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, asks, how, named, missing] = cells.as_slice() else {
            continue;
        };
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        assert!(stand.insert((*number).to_owned()), "{number} stands there twice");
        assert!(!asks.is_empty(), "{number} says what it asks");
        let named: Vec<&str> = named
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .filter(|name| !name.is_empty())
            .collect();
        assert!(
            !named.is_empty() || !missing.is_empty(),
            "{number} is shown by nothing, and nothing is missing"
        );
        assert!(
            named.is_empty() || !how.is_empty() || !missing.is_empty(),
            "{number} does not say how it is met"
        );
        for name in named {
            assert!(
                tests.contains(name),
                "{number} is said to be shown by {name}, and there is no such test"
            );
        }
    }
    let stand_in_order: BTreeSet<String> = expected.into_iter().collect();
    assert_eq!(stand, stand_in_order, "all of the RFC's numbers, and no others");
    // The other way round: a test that bears a number of the RFC bears one that there is.
    for name in tests.iter().filter_map(|name| name.strip_prefix("rfc2779_")) {
        let numbers: Vec<&str> = name
            .split('_')
            .take_while(|part| part.bytes().all(|b| b.is_ascii_digit()))
            .collect();
        let number = numbers.join(".");
        assert!(
            stand.contains(&number),
            "rfc2779_{name} bears {number}, which is no requirement"
        );
    }
}

#[test]
fn every_module_is_in_the_architecture() {
    let page =
        std::fs::read_to_string(workspace().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md is there");
    // What stands in backquotes: names of modules, alone or with the folder they are in.
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    for of in [
        "crates/wire",
        "crates/proto",
        "crates/net",
        "crates/store",
        "crates/rpc",
        "node",
    ] {
        let files = std::fs::read_dir(workspace().join(of).join("src")).expect("a crate has sources");
        for file in files.filter_map(Result::ok).map(|entry| entry.path()) {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if file.extension().is_some_and(|kind| kind == "rs") && !["lib", "main"].contains(&stem) {
                assert!(
                    named.contains(stem),
                    "docs/ARCHITECTURE.md does not say what `{stem}` of {of} is"
                );
            }
        }
    }
}
