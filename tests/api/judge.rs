//! Holds what goes over the local API against its schemas, line by line and both ways.
//!
//! Shared by the tests of whole nodes, between every node and its clients, and by those of the API alone.

use jsonschema::{Draft, Validator};
use porchlight_rpc::RpcError;
use porchlight_rpc::error::Kind;
use porchlight_rpc::events::EVENTS;
use porchlight_rpc::methods::{ANY_METHOD, METHODS, MethodInfo};
use porchlight_rpc::schema::Shape;
use porchlight_rpc::types::Event;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// All schemas, ready to be used.
pub static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::new);

pub struct Schemas {
    methods: BTreeMap<&'static str, Spoken>,
    kinds: BTreeMap<&'static str, Validator>,
    event: Validator,
    error: Validator,
}

struct Spoken {
    info: &'static MethodInfo,
    parameters: Validator,
    reply: Validator,
}

impl Schemas {
    fn new() -> Self {
        let methods = METHODS.iter().map(|info| {
            let spoken = Spoken {
                info,
                parameters: validator(&info.params.read().to_value()),
                reply: closed(info.reply),
            };
            (info.name, spoken)
        });
        Self {
            methods: methods.collect(),
            kinds: EVENTS.iter().map(|event| (event.kind, closed(event.data))).collect(),
            event: closed(Shape::of::<Event>()),
            error: closed(Shape::of::<RpcError>()),
        }
    }

    /// Whether these are parameters of the method.
    pub fn parameters(&self, method: &str, parameters: &Value) -> Result<(), String> {
        let spoken = self.methods.get(method).ok_or("there is no such method")?;
        fits(&spoken.parameters, parameters)
    }

    /// Whether this is a reply of the method, events in it included.
    pub fn reply(&self, method: &str, reply: &Value) -> Result<(), String> {
        let spoken = self.methods.get(method).ok_or("there is no such method")?;
        fits(&spoken.reply, reply)?;
        if method == "events.next" {
            let events = reply["events"].as_array().ok_or("no events")?;
            events.iter().try_for_each(|event| self.event(event))?;
        }
        Ok(())
    }

    /// Whether this is an event.
    pub fn event(&self, event: &Value) -> Result<(), String> {
        fits(&self.event, event)?;
        let kind = event["kind"].as_str().unwrap_or_default();
        let data = self
            .kinds
            .get(kind)
            .ok_or_else(|| format!("there is no kind of events '{kind}'"))?;
        fits(data, &event["data"]).map_err(|error| format!("the data of {kind}: {error}"))
    }

    /// Whether this is an error that the method can answer.
    fn error(&self, method: Option<&str>, error: &Value) -> Result<Kind, String> {
        fits(&self.error, error)?;
        let error: RpcError = serde_json::from_value(error.clone()).map_err(|error| error.to_string())?;
        let kind = error.data.kind;
        let spoken = method.and_then(|method| self.methods.get(method));
        // A line that is no request says nothing about the method in it.
        let can = matches!(kind, Kind::ParseError | Kind::InvalidRequest)
            || spoken.is_none_or(|spoken| spoken.info.errors.contains(&kind) || ANY_METHOD.contains(&kind));
        if can {
            Ok(kind)
        } else {
            Err(format!("'{}' is not among its errors in the registry", kind.text()))
        }
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft7)
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
}

/// Of what the node writes. Later versions may write more; this one writes nothing that its schema does not know.
fn closed(shape: Shape) -> Validator {
    let mut schema = shape.written().to_value();
    close(&mut schema);
    validator(&schema)
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map.get("type").is_some_and(|it| it == "object") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fits(validator: &Validator, value: &Value) -> Result<(), String> {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("at '{}': {error}", error.instance_path()))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("; "))
    }
}

/// What went over one connection: which calls wait for their answers.
#[derive(Debug, Default)]
pub struct Talk {
    asked: BTreeMap<String, Asked>,
}

#[derive(Debug)]
struct Asked {
    method: String,
    /// What is wrong with the parameters.
    misfit: Option<String>,
}

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A call that brought a reply.
    Reply,
    /// One that brought an error.
    Error,
    /// A pushed event.
    Event,
}

impl Talk {
    /// A line from the client. What is wrong with it is the node's to say; that it does is held when it answers.
    pub fn sent(&mut self, line: &[u8]) {
        let Ok(request) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        let (Some(id), Some(method)) = (request.get("id"), request["method"].as_str()) else {
            return;
        };
        if id.is_null() {
            return;
        }
        let mut parameters = request["params"].clone();
        if parameters.is_null() {
            parameters = Value::Object(serde_json::Map::new());
        }
        let asked = Asked {
            method: method.to_owned(),
            misfit: SCHEMAS.parameters(method, &parameters).err(),
        };
        self.asked.insert(id.to_string(), asked);
    }

    /// A line from the node.
    ///
    /// # Errors
    ///
    /// If it says something that the schemas do not, or takes something that they refuse.
    pub fn got(&mut self, line: &[u8]) -> Result<Line, String> {
        let shown = String::from_utf8_lossy(line);
        let line: Value = serde_json::from_slice(line).map_err(|error| format!("{error}: {shown}"))?;
        if let Some(method) = line.get("method") {
            if method != "event" {
                return Err(format!("{method} is pushed, but only events are: {shown}"));
            }
            SCHEMAS
                .event(&line["params"])
                .map_err(|error| format!("an event: {error}: {shown}"))?;
            return Ok(Line::Event);
        }
        let asked = self.asked.remove(&line["id"].to_string());
        let about = |error| {
            let what = asked.as_ref().map_or("an answer to nothing", |asked| &asked.method);
            format!("{what}: {error}: {shown}")
        };
        if let Some(reply) = line.get("result") {
            let asked = asked
                .as_ref()
                .ok_or_else(|| "a reply to nothing".to_owned())
                .map_err(about)?;
            if let Some(misfit) = &asked.misfit {
                return Err(about(format!("the node took parameters that are none: {misfit}")));
            }
            SCHEMAS.reply(&asked.method, reply).map_err(about)?;
            return Ok(Line::Reply);
        }
        let error = line
            .get("error")
            .ok_or_else(|| "neither reply nor error".to_owned())
            .map_err(about)?;
        let method = asked.as_ref().map(|asked| asked.method.as_str());
        let kind = SCHEMAS.error(method, error).map_err(about)?;
        let misfit = asked.as_ref().and_then(|asked| asked.misfit.as_ref());
        let said = matches!(
            kind,
            Kind::InvalidParams | Kind::InvalidRequest | Kind::MethodNotFound | Kind::RateLimited | Kind::ShuttingDown
        );
        match misfit {
            Some(misfit) if !said => Err(about(format!("the node took parameters that are none: {misfit}"))),
            _ => Ok(Line::Error),
        }
    }
}
