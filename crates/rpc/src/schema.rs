//! The API for programs that do not have its Rust types: JSON Schemas of all methods and events, and the OpenRPC document.
//!
//! Everything is made from the registries and the types. `docs/rpc/` holds it as files, `rpc.discover` serves it.
//! Parameters are described as they are read: nothing else may be there. Replies and events are described as they are
//! written now; they may get more fields in later versions.

use crate::error::{Kind, RpcError};
use crate::events::{EVENTS, EventInfo};
use crate::methods::{ANY_METHOD, METHODS, MethodInfo};
use crate::types::{Discovered, Event};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The version of OpenRPC. Its schemas are of draft 7, and so are all of ours.
const OPENRPC: &str = "1.3.2";

/// Where OpenRPC has the schemas that others refer to.
const COMPONENTS: &str = "/components/schemas";

/// Calls and events as they went over a socket: recorded by the tests of whole nodes.
const EXAMPLES: &str = include_str!("../examples.json");

/// How a type looks as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its schema with all that it refers to.
    whole: fn(SchemaGenerator) -> Schema,
    /// A reference to its schema, which is left with the generator.
    part: fn(&mut SchemaGenerator) -> Schema,
}

impl Shape {
    /// That of a type.
    #[must_use]
    pub const fn of<T: JsonSchema>() -> Self {
        Self {
            whole: SchemaGenerator::into_root_schema_for::<T>,
            part: SchemaGenerator::subschema_for::<T>,
        }
    }

    /// The schema of something that is read: parameters.
    #[must_use]
    pub fn read(self) -> Schema {
        (self.whole)(reading().into_generator())
    }

    /// The schema of something that is written: replies, errors, and what events tell.
    #[must_use]
    pub fn written(self) -> Schema {
        (self.whole)(writing().into_generator())
    }
}

fn reading() -> SchemaSettings {
    SchemaSettings::draft07()
        .for_deserialize()
        // So that each parameter's schema stands by itself.
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(times))
        .with_transform(RecursiveTransform(bounds))
        .with_transform(RecursiveTransform(one_line))
}

fn writing() -> SchemaSettings {
    SchemaSettings::draft07()
        .for_serialize()
        .with_transform(RecursiveTransform(times))
        .with_transform(RecursiveTransform(open))
        .with_transform(RecursiveTransform(one_line))
}

/// The API's convention on names says which texts are times.
fn times(schema: &mut Schema) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (name, property) in properties {
        if let Value::Object(property) = property
            && (name == "at" || name.ends_with("_at"))
        {
            property.insert("format".to_owned(), Value::from("date-time"));
        }
    }
}

/// What holds of parameters by their names or types alone.
fn bounds(schema: &mut Schema) {
    if schema.get("format") == Some(&Value::from("uint32")) && schema.get("maximum").is_none() {
        schema.insert("maximum".to_owned(), Value::from(u32::MAX));
    }
    let or_null = schema
        .get("type")
        .and_then(Value::as_array)
        .is_some_and(|types| types.iter().any(|it| it == "null"));
    if let Some(Value::Array(words)) = schema.get_mut("enum")
        && or_null
        && !words.contains(&Value::Null)
    {
        words.push(Value::Null);
    }
    if let Some(Value::Object(key)) = schema.pointer_mut("/properties/idempotency_key") {
        key.insert("minLength".to_owned(), Value::from(1));
        key.insert("maxLength".to_owned(), Value::from(64));
        key.insert("pattern".to_owned(), Value::from("^[!-~]+$"));
    }
}

/// Where a comment's lines end says nothing.
fn one_line(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

/// A reply may get more fields, and a field without a value is left out and never null.
fn open(schema: &mut Schema) {
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.remove("additionalProperties");
    }
    let required = schema.get("required").cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (name, property) in properties {
        let is_required = required
            .as_array()
            .is_some_and(|names| names.iter().any(|it| it == name));
        if let Value::Object(property) = property
            && !is_required
        {
            without_null(property);
        }
    }
}

fn without_null(property: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = &mut types[..] {
            let only = only.take();
            property.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
        choices.retain(|it| it != &json!({"type": "null"}));
        if choices.len() == 1 {
            let choices = property.remove("anyOf").unwrap_or_default();
            property.insert("allOf".to_owned(), choices);
        }
    }
}

/// A call that was made, with what came back.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct Example {
    /// The parameters.
    pub parameters: Value,
    /// The reply.
    pub reply: Value,
}

/// Calls by method, and events by kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
pub struct Examples {
    /// Calls of each method.
    pub methods: BTreeMap<String, Vec<Example>>,
    /// An event of each kind.
    pub events: BTreeMap<String, Event>,
}

impl Examples {
    /// Those that are kept.
    #[must_use]
    pub fn kept() -> Self {
        // They are compiled in; a test reads them.
        serde_json::from_str(EXAMPLES).unwrap_or_default()
    }

    fn of(&self, method: &str) -> &[Example] {
        self.methods.get(method).map_or(&[], Vec::as_slice)
    }
}

/// The errors that a method can answer.
pub fn errors(method: &MethodInfo) -> impl Iterator<Item = Kind> {
    method.errors.iter().chain(ANY_METHOD).copied()
}

/// What `docs/rpc/methods` says of a method.
#[derive(Serialize)]
struct MethodPage<'a> {
    name: &'a str,
    summary: &'a str,
    parameters: Schema,
    reply: Schema,
    errors: Vec<Kind>,
    examples: &'a [Example],
}

/// What `docs/rpc/events` says of a kind of event.
#[derive(Serialize)]
struct EventPage<'a> {
    kind: &'a str,
    summary: &'a str,
    data: Schema,
    example: Option<&'a Event>,
}

/// What `docs/rpc/error.json` says.
#[derive(Serialize)]
struct ErrorPage {
    summary: &'static str,
    error: Schema,
    kinds: Vec<KindEntry>,
}

#[derive(Serialize)]
struct KindEntry {
    kind: Kind,
    code: i32,
    retryable: bool,
    meaning: String,
}

/// All kinds of errors with their meaning, as the type documents them.
fn kinds() -> Vec<KindEntry> {
    let schema = Shape::of::<Kind>().written();
    let choices = schema.get("oneOf").and_then(Value::as_array);
    choices
        .into_iter()
        .flatten()
        .filter_map(|choice| {
            let kind: Kind = serde_json::from_value(choice.get("const")?.clone()).ok()?;
            Some(KindEntry {
                kind,
                code: kind.code(),
                retryable: kind.retryable(),
                meaning: choice.get("description")?.as_str()?.to_owned(),
            })
        })
        .collect()
}

/// A page of `docs/rpc`: its path there, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its path below `docs/rpc`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Page {
    fn new(path: String, page: &impl Serialize) -> Self {
        // Pages are texts, numbers and maps with texts as keys, so that all of it is JSON.
        let text = serde_json::to_string_pretty(page).unwrap_or_default();
        Self {
            path,
            text: format!("{text}\n"),
        }
    }
}

/// All pages of `docs/rpc`, with these examples.
#[must_use]
pub fn pages(examples: &Examples) -> Vec<Page> {
    let methods = METHODS.iter().map(|method| {
        let page = MethodPage {
            name: method.name,
            summary: method.summary,
            parameters: method.params.read(),
            reply: method.reply.written(),
            errors: errors(method).collect(),
            examples: examples.of(method.name),
        };
        Page::new(format!("methods/{}.json", method.name), &page)
    });
    let events = EVENTS.iter().map(|event| {
        let page = EventPage {
            kind: event.kind,
            summary: event.summary,
            data: event.data.written(),
            example: examples.events.get(event.kind),
        };
        Page::new(format!("events/{}.json", event.kind), &page)
    });
    let error = ErrorPage {
        summary: "What stands in `error` of an answer. Act on `data.kind`.",
        error: Shape::of::<RpcError>().written(),
        kinds: kinds(),
    };
    methods
        .chain(events)
        .chain([
            Page::new("error.json".to_owned(), &error),
            Page::new("openrpc.json".to_owned(), &openrpc(examples)),
        ])
        .collect()
}

/// The API as an OpenRPC document, with these examples.
#[must_use]
pub fn openrpc(examples: &Examples) -> Discovered {
    let settings = writing().with(|settings| settings.definitions_path = COMPONENTS.into());
    let mut generator = settings.into_generator();
    let methods = METHODS
        .iter()
        .map(|method| openrpc_method(method, &mut generator, examples))
        .collect();
    let events = EVENTS
        .iter()
        .map(|event| openrpc_event(event, &mut generator, examples))
        .collect();
    // The form of all events.
    let _ = generator.subschema_for::<Event>();
    Discovered {
        openrpc: OPENRPC.to_owned(),
        info: json!({
            "title": "Porchlight",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The local API of a Porchlight node: JSON-RPC 2.0, one object per line, on the Unix socket \
                            `rpc.sock` in the node's home. After `events.subscribe`, events are pushed as notifications \
                            `event`, whose parameters are an `Event`; `x-events` has their kinds.",
            "license": {"name": "MIT OR Apache-2.0"},
        }),
        methods,
        components: json!({
            "schemas": generator.take_definitions(true),
            "errors": openrpc_errors(),
        }),
        events,
    }
}

fn openrpc_method(method: &MethodInfo, generator: &mut SchemaGenerator, examples: &Examples) -> Value {
    let read = method.params.read();
    let required = read.get("required").and_then(Value::as_array);
    let properties = read.get("properties").and_then(Value::as_object);
    let params: Vec<Value> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let is_required = required.is_some_and(|names| names.iter().any(|it| it == name));
            json!({"name": name, "required": is_required, "schema": schema})
        })
        .collect();
    let pairs = examples.of(method.name).iter().zip(1..).map(|(example, number)| {
        let given = example.parameters.as_object().into_iter().flatten();
        let params: Vec<Value> = given
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        json!({
            "name": format!("{} {number}", method.name),
            "params": params,
            "result": {"name": "reply", "value": example.reply},
        })
    });
    json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": params,
        "result": {"name": "reply", "schema": (method.reply.part)(generator)},
        "errors": errors(method).map(|kind| json!({"$ref": format!("#/components/errors/{}", kind.text())})).collect::<Vec<_>>(),
        "examples": pairs.collect::<Vec<_>>(),
    })
}

fn openrpc_event(event: &EventInfo, generator: &mut SchemaGenerator, examples: &Examples) -> Value {
    json!({
        "kind": event.kind,
        "summary": event.summary,
        "data": (event.data.part)(generator),
        "example": examples.events.get(event.kind),
    })
}

fn openrpc_errors() -> Map<String, Value> {
    kinds()
        .into_iter()
        .map(|entry| {
            let error = json!({
                "code": entry.code,
                "message": entry.meaning,
                "data": {"kind": entry.kind, "retryable": entry.retryable},
            });
            (entry.kind.text(), error)
        })
        .collect()
}
