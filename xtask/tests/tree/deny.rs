//! The rules of `deny.toml`, as far as they need no network: licences, sources, bans and duplicates.
//!
//! They are read as cargo-deny reads them, from the graph that `cargo metadata` gives for all systems.
//! Licences and sources hold for everything in the lock file, duplicates for what ships. cargo-deny itself is
//! four hundred crates to compile, too much for everybody's first test run; it reads the same file, and alone
//! knows the advisories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use semver::{Version, VersionReq};
use serde_json::{Value, json};
use spdx::{Expression, ParseMode};
use toml::Table;

use crate::root;

/// Whose dependencies ship.
const SHIPPED: [&str; 2] = ["runner", "frontend"];

fn rules() -> Table {
    fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

fn strings<'a>(rules: &'a Table, section: &str, list: &str) -> BTreeSet<&'a str> {
    rules[section][list].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// One `crate = "name@requirement"` of a list; without a requirement it is every version.
struct Named<'a> {
    name: &'a str,
    requirement: VersionReq,
}

impl Named<'_> {
    fn fits(&self, name: &str, version: &str) -> bool {
        name == self.name && self.requirement.matches(&Version::parse(version).unwrap())
    }
}

fn named<'a>(rules: &'a Table, list: &str) -> Vec<Named<'a>> {
    rules["bans"][list]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry.get("reason").is_some(), "{entry:?} has no reason");
            let (name, requirement) =
                entry["crate"].as_str().map(|name| name.split_once('@').unwrap_or((name, "*"))).unwrap();
            Named { name, requirement: VersionReq::parse(requirement).unwrap() }
        })
        .collect()
}

/// Whether a licence can be kept with only those that are allowed.
fn allowed(licence: &str, allow: &BTreeSet<&str>) -> bool {
    Expression::parse_mode(licence, ParseMode::LAX).is_ok_and(|expression| {
        expression.evaluate(|requirement| allow.contains(requirement.to_string().as_str()))
    })
}

/// What is not allowed of a list of packages.
fn foreign(packages: &[Value], rules: &Table) -> Vec<String> {
    let allow = strings(rules, "licenses", "allow");
    let registries = strings(rules, "sources", "allow-registry");
    let banned = named(rules, "deny");
    let mut complaints = Vec::new();
    for package in packages {
        let (name, version, licence) =
            (text(package, "name"), text(package, "version"), text(package, "license"));
        if !allowed(licence, &allow) {
            complaints.push(format!("{name} {version}: the licence {licence:?} is not allowed"));
        }
        let source = text(package, "source");
        if !source.is_empty() && !registries.iter().any(|known| source == format!("registry+{known}")) {
            complaints.push(format!("{name} {version}: comes from {source}"));
        }
        if banned.iter().any(|ban| ban.fits(name, version)) {
            complaints.push(format!("{name} {version} is banned"));
        }
    }
    complaints
}

/// Names of which more than one version ships beside those that are skipped.
fn duplicates(metadata: &Value, rules: &Table) -> Vec<String> {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(package, "id"), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (text(node, "id"), node))
        .collect();
    let ships = |package: &&Value| package["source"].is_null() && SHIPPED.contains(&text(package, "name"));
    let mut open: Vec<&str> =
        packages.values().filter(|package| ships(package)).map(|package| text(package, "id")).collect();
    assert_eq!(open.len(), SHIPPED.len());
    let mut reached = BTreeSet::new();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            let needed = |dependency: &&Value| {
                let kinds = dependency["dep_kinds"].as_array().unwrap();
                kinds.iter().any(|kind| text(kind, "kind") != "dev")
            };
            let dependencies = nodes[id]["deps"].as_array().unwrap();
            open.extend(dependencies.iter().filter(needed).map(|dependency| text(dependency, "pkg")));
        }
    }
    let skipped = named(rules, "skip");
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in reached.into_iter().map(|id| packages[id]) {
        let (name, version) = (text(package, "name"), text(package, "version"));
        if !skipped.iter().any(|skip| skip.fits(name, version)) {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| format!("{name} ships as {versions:?}"))
        .collect()
}

#[test]
fn what_is_depended_on_is_allowed_to_be() {
    let (rules, metadata) = (rules(), metadata());
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 200, "only {} packages were looked at", packages.len());
    let complaints = foreign(packages, &rules);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn nothing_ships_twice_without_a_reason() {
    let complaints = duplicates(&metadata(), &rules());
    assert!(
        complaints.is_empty(),
        "\n{}\nMend it, or name it under `skip` in deny.toml.\n",
        complaints.join("\n")
    );
}

#[test]
fn the_rules_refuse_what_they_should() {
    let rules = rules();
    let package = |name: &str, version: &str, licence: &str, source: &str| {
        serde_json::json!([{"name": name, "version": version, "license": licence, "source": source}])
            .as_array()
            .unwrap()
            .clone()
    };
    let index = "registry+https://github.com/rust-lang/crates.io-index";
    let refused = |packages: Vec<Value>| !foreign(&packages, &rules).is_empty();
    assert!(!refused(package("a", "1.0.0", "MIT/Apache-2.0", index)));
    assert!(!refused(package("a", "1.0.0", "MIT OR GPL-3.0-only", index)));
    assert!(!refused(package("a", "1.0.0", "(MIT OR Apache-2.0) AND Unicode-3.0", index)));
    assert!(refused(package("a", "1.0.0", "GPL-3.0-only", index)));
    assert!(refused(package("a", "1.0.0", "MIT AND GPL-3.0-only", index)));
    assert!(refused(package("a", "1.0.0", "", index)));
    assert!(refused(package("a", "1.0.0", "MIT", "git+https://example.com/a")));
    assert!(refused(package("tracing-subscriber", "0.3.19", "MIT", index)));
    assert!(!refused(package("tracing-subscriber", "0.3.20", "MIT", index)));
    assert!(refused(package("openssl-sys", "0.9.1", "MIT", index)));
}

#[test]
fn requirements_are_read_as_cargo_reads_them() {
    for (requirement, fit, others) in [
        ("0.1", vec!["0.1.0", "0.1.7"], vec!["0.10.7", "0.2.0", "1.0.0"]),
        ("5", vec!["5.0.0", "5.9.1"], vec!["4.9.9", "6.0.0", "50.0.0"]),
        ("^1.2", vec!["1.2.0", "1.9.0"], vec!["1.1.9", "2.0.0"]),
        ("=1.2.3", vec!["1.2.3"], vec!["1.2.4"]),
        (">=1, <1.5", vec!["1.0.0", "1.4.9"], vec!["0.9.0", "1.5.0"]),
        ("<0.3.20", vec!["0.3.9", "0.3.19", "0.2.30"], vec!["0.3.20", "0.10.0", "1.0.0"]),
        ("*", vec!["0.0.1", "7.0.0"], vec![]),
    ] {
        let named = Named { name: "a", requirement: VersionReq::parse(requirement).unwrap() };
        assert!(fit.iter().all(|version| named.fits("a", version)), "{requirement}: {fit:?}");
        assert!(!others.iter().any(|version| named.fits("a", version)), "{requirement}: {others:?}");
        assert!(!named.fits("b", fit[0]));
    }
}

#[test]
fn what_ships_twice_is_named_unless_it_is_skipped() {
    let package = |name: &str, version: &str, source: Value| json!({"id": format!("{name} {version}"), "name": name, "version": version, "source": source});
    let node = |id: &str, deps: &[(&str, Value)]| {
        let deps: Vec<_> =
            deps.iter().map(|(pkg, kind)| json!({"pkg": pkg, "dep_kinds": [{"kind": kind}]})).collect();
        json!({"id": id, "deps": deps})
    };
    let metadata = json!({
        "packages": [
            package("runner", "0.1.0", Value::Null), package("frontend", "0.1.0", Value::Null),
            package("a", "0.1.7", json!("x")), package("a", "0.2.0", json!("x")), package("b", "1.0.0", json!("x")),
            package("b", "2.0.0", json!("x")),
        ],
        "resolve": {"nodes": [
            node("runner 0.1.0", &[("a 0.1.7", Value::Null), ("b 1.0.0", Value::Null), ("b 2.0.0", json!("dev"))]),
            node("frontend 0.1.0", &[("a 0.2.0", json!("build"))]),
            node("a 0.1.7", &[]), node("a 0.2.0", &[]), node("b 1.0.0", &[]), node("b 2.0.0", &[]),
        ]},
    });
    let with = |skip: &str| duplicates(&metadata, &format!("[bans]\nskip = [{skip}]").parse().unwrap());
    assert_eq!(with(""), ["a ships as {\"0.1.7\", \"0.2.0\"}"], "what only tests need does not ship");
    assert_eq!(with("{ crate = \"a@0.1\", reason = \"x\" }"), Vec::<String>::new());
    assert_eq!(with("{ crate = \"a@0.3\", reason = \"x\" }").len(), 1);
}
