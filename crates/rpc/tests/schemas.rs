//! The pages of `docs/rpc`: that they are what the registries and types say, and that they are good schemas.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "clippy takes the helpers of an integration test for library code"
)]

#[path = "../../../tests/api/judge.rs"]
mod judge;

use jsonschema::Draft;
use judge::{SCHEMAS, Talk};
use porchlight_rpc::events::EVENTS;
use porchlight_rpc::schema::{Examples, openrpc, pages};
use porchlight_rpc::{Call, Kind, METHODS, RpcError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What writes the pages anew.
const COMMAND: &str = "UPDATE_SCHEMAS=1 cargo test --release -p porchlight-rpc --test schemas";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rpc")
}

/// The pages that are there, by their paths.
fn there() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for below in ["", "methods", "events"] {
        for entry in std::fs::read_dir(folder().join(below)).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".json") {
                found.insert(Path::new(below).join(name).to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn the_pages_are_up_to_date() {
    let pages = pages(&Examples::kept());
    let paths: BTreeSet<String> = pages.iter().map(|page| page.path.clone()).collect();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        for gone in there().difference(&paths) {
            std::fs::remove_file(folder().join(gone)).unwrap();
        }
        for page in &pages {
            let path = folder().join(&page.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &page.text).unwrap();
        }
    }
    assert_eq!(
        there(),
        paths,
        "docs/rpc has other pages than there are methods and events; write them anew with\n  {COMMAND}\n"
    );
    for page in pages {
        let kept = std::fs::read_to_string(folder().join(&page.path)).unwrap();
        // As JSON, in which the order of keys says nothing.
        let kept: Value = serde_json::from_str(&kept).unwrap_or_default();
        let made: Value = serde_json::from_str(&page.text).unwrap();
        assert!(
            kept == made,
            "docs/rpc/{} is out of date; write it anew with\n  {COMMAND}\n",
            page.path
        );
    }
}

/// Every object that stands anywhere in a value.
fn objects<'a>(value: &'a Value, found: &mut Vec<&'a serde_json::Map<String, Value>>) {
    match value {
        Value::Object(map) => {
            found.push(map);
            map.values().for_each(|value| objects(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| objects(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schemas of objects with fields in a schema.
fn with_fields(schema: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    objects(schema, &mut found);
    found
        .into_iter()
        // What only says more about an object's fields is no type of its own.
        .filter(|map| map.contains_key("properties") && map.contains_key("type"))
        .map(|map| Value::Object(map.clone()))
        .collect()
}

#[test]
fn a_parameter_that_is_not_known_is_an_error_and_a_reply_may_get_more_fields() {
    for method in METHODS {
        let name = method.name;
        let parameters = method.params.read().to_value();
        assert_eq!(
            parameters["additionalProperties"], false,
            "{name}: put #[serde(deny_unknown_fields)] on the type of its parameters"
        );
        for object in with_fields(&parameters) {
            assert_eq!(
                object["additionalProperties"], false,
                "{name}: put #[serde(deny_unknown_fields)] on the types in its parameters"
            );
        }
        for object in with_fields(&method.reply.written().to_value()) {
            assert_ne!(object.get("additionalProperties"), Some(&json!(false)), "{name}");
        }
    }
}

#[test]
fn the_schemas_are_schemas_of_draft_7() {
    let all = METHODS
        .iter()
        .flat_map(|method| [method.params.read(), method.reply.written()])
        .chain(EVENTS.iter().map(|event| event.data.written()));
    for schema in all {
        let schema = schema.to_value();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}: {schema}"));
        // All that it refers to is there.
        jsonschema::options().with_draft(Draft::Draft7).build(&schema).unwrap();
    }
}

#[test]
fn a_time_is_a_time_by_its_name_and_a_field_without_a_value_is_not_null() {
    let told = METHODS
        .iter()
        .find(|method| method.name == "presence.get")
        .unwrap()
        .reply
        .written()
        .to_value();
    let fields = &told["definitions"]["Told"]["properties"];
    assert_eq!(fields["issued_at"]["format"], "date-time");
    assert_eq!(fields["issued_at"]["type"], "string");
    assert_eq!(fields["age_ms"]["type"], "integer");
}

#[test]
fn every_kind_of_error_is_explained() {
    let page = pages(&Examples::kept())
        .into_iter()
        .find(|page| page.path == "error.json")
        .unwrap();
    let page: Value = serde_json::from_str(&page.text).unwrap();
    let all = page["error"]["definitions"]["Kind"]["oneOf"].as_array().unwrap();
    let explained = page["kinds"].as_array().unwrap();
    assert_eq!(all.len(), explained.len());
    for entry in explained {
        let kind: Kind = serde_json::from_value(entry["kind"].clone()).unwrap();
        assert_eq!(entry["code"], kind.code());
    }
}

/// What OpenRPC says its documents are. Its own schemas of schemas are those of draft 7, which the validator knows.
fn openrpc_itself() -> Value {
    let text = include_str!("openrpc/meta-schema.json")
        .replace(
            "\"https://meta.json-schema.tools/#/definitions/JSONSchemaObject/properties/$ref\"",
            "\"http://json-schema.org/draft-07/schema#/properties/$ref\"",
        )
        .replace(
            "\"https://meta.json-schema.tools/\"",
            "\"http://json-schema.org/draft-07/schema#\"",
        )
        .replace(
            "\"https://meta.json-schema.tools\"",
            "\"http://json-schema.org/draft-07/schema#\"",
        );
    assert!(!text.contains("meta.json-schema.tools"));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_openrpc_document_is_one_and_has_every_method() {
    let document = serde_json::to_value(openrpc(&Examples::kept())).unwrap();
    let openrpc = jsonschema::options()
        .with_draft(Draft::Draft7)
        .build(&openrpc_itself())
        .unwrap();
    let errors: Vec<String> = openrpc
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut wrong = document.clone();
    wrong["methods"][0]["parameters"] = json!([]);
    assert!(
        !openrpc.is_valid(&wrong),
        "what is no OpenRPC document is told from one"
    );

    let listed: Vec<&str> = document["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| method["name"].as_str().unwrap())
        .collect();
    let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    assert_eq!(listed, known);
    let kinds: Vec<&str> = document["x-events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    let known: Vec<&str> = EVENTS.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, known);

    // Everything that is referred to is there.
    let mut found = Vec::new();
    objects(&document, &mut found);
    let references: BTreeSet<&str> = found
        .iter()
        .filter_map(|map| map.get("$ref").and_then(Value::as_str))
        .collect();
    assert!(references.len() > METHODS.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is nowhere");
    }
}

#[test]
fn every_method_and_event_has_an_example_that_fits() {
    /// What records those that are missing or do not fit.
    const RECORD: &str = "UPDATE_EXAMPLES=1 cargo test --release -p porchlight --test nodes examples";
    let kept: Examples = serde_json::from_str(include_str!("../examples.json")).unwrap();
    for method in METHODS {
        let name = method.name;
        let examples = kept.methods.get(name).map_or(&[][..], Vec::as_slice);
        assert!(
            !examples.is_empty(),
            "{name} has no example; record one with\n  {RECORD}\n"
        );
        for example in examples {
            SCHEMAS
                .parameters(name, &example.parameters)
                .and_then(|()| SCHEMAS.reply(name, &example.reply))
                .unwrap_or_else(|error| panic!("the example of {name}: {error}; record it anew with\n  {RECORD}\n"));
            let call = Call::parse(name, example.parameters.clone()).unwrap();
            assert_eq!(call.method(), name);
        }
    }
    for event in EVENTS {
        let kind = event.kind;
        let example = kept.events.get(kind);
        let example = example.unwrap_or_else(|| panic!("{kind} has no example; record one with\n  {RECORD}\n"));
        assert_eq!(example.kind, kind);
        SCHEMAS
            .event(&serde_json::to_value(example).unwrap())
            .unwrap_or_else(|error| panic!("the example of {kind}: {error}; record it anew with\n  {RECORD}\n"));
    }
}

/// What is found of one call and its answer.
fn judged(method: &str, parameters: &Value, answer: &Value) -> Result<judge::Line, String> {
    let mut talk = Talk::default();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters});
    talk.sent(request.to_string().as_bytes());
    let mut line = json!({"jsonrpc": "2.0", "id": 1});
    line.as_object_mut()
        .unwrap()
        .extend(answer.as_object().unwrap().clone());
    talk.got(line.to_string().as_bytes())
}

#[test]
fn what_does_not_fit_is_found() {
    let of_bob = json!({"contact": "bob"});
    let removed = json!({"result": {"contact": "bob", "principal": "pl1"}});
    assert_eq!(judged("contact.remove", &of_bob, &removed), Ok(judge::Line::Reply));
    let wrong = [
        // Replies: a field too many, one too few, another type, a word that is none, a time that is none.
        (
            "contact.remove",
            of_bob.clone(),
            json!({"result": {"contact": "bob", "principal": "pl1", "at": "now"}}),
        ),
        ("contact.remove", of_bob.clone(), json!({"result": {"contact": "bob"}})),
        (
            "contact.remove",
            of_bob.clone(),
            json!({"result": {"contact": "bob", "principal": 1}}),
        ),
        (
            "presence.subscribe",
            of_bob.clone(),
            json!({"result": {"contact": "bob", "subscription": "perhaps"}}),
        ),
        (
            "presence.list",
            json!({}),
            json!({"result": {"own": {"status": "open", "since_at": "today"}, "contacts": []}}),
        ),
        // Parameters that the node should not have taken.
        ("contact.remove", json!({"contct": "bob"}), removed.clone()),
        ("contact.remove", json!({"contact": "bob", "and": 1}), removed),
        (
            "presence.subscribe",
            json!({"contact": 1}),
            json!({"error": RpcError::new(Kind::NotFound, "nobody")}),
        ),
        // Errors: one that is none of the method's, one that is no error.
        (
            "contact.remove",
            of_bob.clone(),
            json!({"error": RpcError::new(Kind::UsedUp, "used up")}),
        ),
        (
            "contact.remove",
            of_bob,
            json!({"error": {"code": 1, "message": "nobody"}}),
        ),
        // Events in a reply.
        (
            "events.next",
            json!({"consumer": "c"}),
            json!({"result": {"more": false, "newest": 1, "events": [
                {"number": 1, "at": "2026-01-02T03:04:05.678Z", "kind": "relay.lost", "data": {}}
            ]}}),
        ),
    ];
    for (method, parameters, answer) in wrong {
        let judged = judged(method, &parameters, &answer);
        assert!(judged.is_err(), "{method} {parameters} {answer}: {judged:?}");
    }
    let event = |kind: &str, data: Value| {
        let event = json!({"number": 1, "at": "2026-01-02T03:04:05.678Z", "kind": kind, "data": data});
        let pushed = json!({"jsonrpc": "2.0", "method": "event", "params": event});
        Talk::default().got(pushed.to_string().as_bytes())
    };
    assert_eq!(event("relay.lost", json!({"node": "12D3"})), Ok(judge::Line::Event));
    assert!(event("relay.lost", json!({"node": "12D3", "why": "?"})).is_err());
    assert!(event("relay.found", json!({"node": "12D3"})).is_err());
}

/// The fields of the object that a schema describes.
fn fields(schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[test]
fn every_parameter_and_field_is_named_in_the_documentation() {
    let page = include_str!("../../../docs/rpc.md");
    let mut missing = Vec::new();
    for method in METHODS {
        let heading = format!("\n### {}\n", method.name);
        let section = page.split(&heading).nth(1).unwrap_or_default();
        let section = section.split("\n##").next().unwrap_or_default();
        let reply = method.reply.written().to_value();
        for field in fields(&method.params.read().to_value())
            .into_iter()
            .chain(fields(&reply))
        {
            if !section.contains(&format!("`{field}`")) && !section.contains(&format!("\"{field}\"")) {
                missing.push(format!("{}: {field}", method.name));
            }
        }
    }
    for event in EVENTS {
        let line = page
            .lines()
            .find(|line| line.starts_with("| `") && line.contains(&format!("`{}`", event.kind)));
        for field in fields(&event.data.written().to_value()) {
            if !line.is_some_and(|line| line.contains(&format!("`{field}`"))) {
                missing.push(format!("{}: {field}", event.kind));
            }
        }
    }
    assert!(missing.is_empty(), "docs/rpc.md does not name {missing:#?}");
}
