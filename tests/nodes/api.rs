//! The local API of whole nodes: that what is said is overheard, and one call of every method, from which the examples of
//! docs/rpc are.

use super::judge::SCHEMAS;
use super::mailboxes::registered;
use super::tap::Tap;
use super::town::{PROGRAM, join, porchlight, stage, with_relays};
use porchlight::demo::person::Person;
use porchlight::demo::stage::Stage;
use porchlight_rpc::events::EVENTS;
use porchlight_rpc::methods::EventsSubscribe;
use porchlight_rpc::schema::{Example, Examples};
use porchlight_rpc::types::{self, Event};
use porchlight_rpc::{ClientError, Kind, METHODS};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

#[tokio::test]
async fn all_that_is_said_to_a_node_is_held_against_the_schemas() {
    let tap = Tap::new();
    let seen = tap.seen();
    let mut stage = Stage::set(PROGRAM.into()).unwrap().overheard_by(tap);
    stage.start("alice").await.unwrap();
    let replies = || seen.lock().unwrap().replies;
    assert_eq!(replies(), 0);

    assert_eq!(porchlight(&stage, "alice", &["status"]).await.code, 0);
    assert_eq!(replies(), 1, "the command line");

    let mut client = stage.client("alice").await.unwrap();
    let subscribe = types::EventsSubscribe {
        consumer: "doorbell".to_owned(),
        from: Some("oldest".to_owned()),
    };
    client.call::<EventsSubscribe>(&subscribe).await.unwrap();
    assert_eq!(replies(), 2, "the library's client");
    client.next_event().await.unwrap();
    assert!(seen.lock().unwrap().events >= 1);

    // After a restart too.
    stage.kill("alice").await.unwrap();
    stage.start("alice").await.unwrap();
    let mut bare = UnixStream::connect(stage.home("alice").join("rpc.sock")).unwrap();
    bare.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"presence.get\",\"params\":{\"contct\":\"bob\"}}\n")
        .unwrap();
    let mut answer = String::new();
    BufReader::new(bare).read_line(&mut answer).unwrap();
    assert!(answer.contains("invalid_params"), "{answer}");
    assert_eq!(seen.lock().unwrap().errors, 1, "a bare socket");
    assert_eq!(seen.lock().unwrap().wrong, Vec::<String>::new());
}

/// Calls as they were made, by method, with what came back.
#[derive(Default)]
struct Story {
    calls: BTreeMap<String, Example>,
}

impl Story {
    async fn call(&mut self, person: &mut Person, method: &str, parameters: Value) -> Value {
        let reply = person.calls.call_raw(method, parameters.clone()).await.unwrap();
        let example = Example {
            parameters,
            reply: reply.clone(),
        };
        self.calls.insert(method.to_owned(), example);
        reply
    }
}

#[tokio::test]
async fn every_method_answers_and_the_examples_are_of_that() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    let mut story = Story::default();

    story.call(&mut alice, "identity.show", json!({})).await;
    let made = json!({"uses": 1, "expires_in_ms": 604_800_000});
    let invite = story.call(&mut alice, "invite.create", made).await;
    let used = json!({"invite": invite["uri"], "name": "alice"});
    story.call(&mut bob, "contact.add", used).await;
    alice.subscribed("bob").await.unwrap();
    bob.subscribed("alice").await.unwrap();
    alice.told("bob is open", |told| told.status == "open").await.unwrap();

    let away = json!({
        "status": "away", "note": {"text": "back at four", "lang": "en"}, "activities": ["meal"],
        "mood": {"values": ["happy"]}, "place": {"values": ["cafe"]}, "for_ms": 7_200_000,
        "tuples": [{"id": "im", "contact": "im:alice@example.org", "priority": 0.8}],
        "details": [{"name": "tel", "value": "+43-1-5550123", "type": "work"}],
        "extensions": {"org.example.desk": {"floor": 3}},
    });
    story.call(&mut alice, "presence.set", away).await;
    let of_bob = json!({"contact": "bob"});
    story.call(&mut alice, "presence.list", json!({})).await;
    story.call(&mut alice, "presence.get", of_bob.clone()).await;
    story.call(&mut alice, "contact.list", json!({})).await;
    story.call(&mut alice, "net.peers", json!({})).await;
    story.call(&mut alice, "node.info", json!({})).await;
    registered(&stage, "alice").await;
    let relays = story.call(&mut alice, "relay.list", json!({})).await;
    let second = json!({"relay": relays["relays"][1]["address"]});
    story.call(&mut alice, "relay.use", second.clone()).await;
    story.call(&mut alice, "relay.test", second).await;
    story.call(&mut alice, "node.config.get", json!({})).await;
    story.call(&mut alice, "node.health", json!({})).await;
    story.call(&mut alice, "net.diagnose", of_bob.clone()).await;

    let work = json!({"view": "work", "shows": "status"});
    story.call(&mut alice, "view.create", work).await;
    let told = json!({"view": "work", "reach": "relay"});
    story.call(&mut alice, "view.update", told).await;
    let at_work = json!({"view": "work", "status": "busy"});
    alice.calls.call_raw("presence.set", at_work).await.unwrap();
    story.call(&mut alice, "presence.show", json!({})).await;
    story.call(&mut alice, "presence.clear", json!({"view": "work"})).await;
    let moved = json!({"contact": "bob", "view": "work"});
    story.call(&mut alice, "contact.update", moved).await;
    story.call(&mut alice, "view.list", json!({})).await;
    story.call(&mut alice, "grant.list", json!({})).await;
    story.call(&mut alice, "watcher.list", json!({})).await;

    let often = json!({"contact": "bob", "every_ms": 600_000});
    story.call(&mut alice, "presence.poll", often).await;
    let polled = |data: &Value| data["contact"] == "bob";
    alice.happened("poll bob", "presence.polled", polled).await.unwrap();
    story.call(&mut alice, "presence.polls", json!({})).await;
    story.call(&mut alice, "presence.unpoll", of_bob.clone()).await;
    story.call(&mut alice, "presence.unsubscribe", of_bob.clone()).await;
    story.call(&mut alice, "presence.subscribe", of_bob.clone()).await;

    let another = alice.calls.call_raw("invite.create", json!({"uses": 3})).await.unwrap();
    story.call(&mut alice, "invite.list", json!({})).await;
    let revoked = json!({"invite": another["invite"]});
    story.call(&mut alice, "invite.revoke", revoked).await;

    messages(&mut story, &mut stage, &mut alice, &mut bob).await;
    story.call(&mut alice, "grant.revoke", of_bob.clone()).await;
    story.call(&mut alice, "contact.remove", of_bob).await;
    story.call(&mut alice, "view.delete", json!({"view": "work"})).await;

    // A relay goes, and alice's node goes and comes.
    stage.kill("relay-2").await.unwrap();
    alice.happened("lose a relay", "relay.lost", |_| true).await.unwrap();
    stage.stop("alice").await.unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    let from_the_start = json!({"consumer": "my-program", "from": "oldest"});
    story.call(&mut alice, "events.subscribe", from_the_start).await;
    let next = json!({"consumer": "my-program", "max": 1000});
    let batch = alice.calls.call_raw("events.next", next).await.unwrap();
    let events: Vec<Event> = serde_json::from_value(batch["events"].clone()).unwrap();
    let next = json!({"consumer": "my-program", "max": 2, "wait_ms": 30_000});
    let batch = story.call(&mut alice, "events.next", next).await;
    let last = json!({"consumer": "my-program", "number": batch["events"][1]["number"]});
    story.call(&mut alice, "events.ack", last).await;

    story.call(&mut alice, "rpc.discover", json!({})).await;
    story.call(&mut alice, "node.stop", json!({})).await;

    for method in METHODS {
        assert!(
            story.calls.contains_key(method.name),
            "let tests/nodes/api.rs call {} in this story, for the example in docs/rpc",
            method.name
        );
    }
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        keep(&stage, story, events);
    }
}

/// A conversation, and what is written while bob is away.
async fn messages(story: &mut Story, stage: &mut Stage, alice: &mut Person, bob: &mut Person) {
    let lunch = json!({
        "contact": "bob", "text": "lunch at one?", "subject": "today", "expires_in_ms": 3_600_000, "sign": true,
    });
    let sent = story.call(alice, "message.send", lunch).await;
    let delivered = |data: &Value| data["state"]["state"] == "delivered";
    alice.happened("delivery", "message.changed", delivered).await.unwrap();
    let answer = json!({"contact": "alice", "text": "gladly", "in_reply_to": sent["message"]});
    bob.calls.call_raw("message.send", answer).await.unwrap();
    alice.happened("an answer", "message.received", |_| true).await.unwrap();
    story.call(alice, "message.conversations", json!({})).await;
    let with_bob = json!({"contact": "bob", "max": 10});
    story.call(alice, "message.list", with_bob).await;
    let one = json!({"message": sent["message"]});
    story.call(alice, "message.get", one).await;
    story.call(alice, "message.search", json!({"text": "lunch"})).await;
    let of_bob = json!({"contact": "bob"});
    story.call(alice, "message.mark_read", of_bob.clone()).await;
    let compared = json!({"contact": "bob", "verified": true});
    story.call(alice, "contact.verify", compared).await;
    story.call(alice, "contact.block", of_bob.clone()).await;
    story.call(alice, "contact.unblock", of_bob.clone()).await;

    stage.stop("bob").await.unwrap();
    let late = json!({"contact": "bob", "text": "where are you?"});
    let late = alice.calls.call_raw("message.send", late).await.unwrap();
    story.call(alice, "outbox.list", json!({})).await;
    story.call(alice, "outbox.retry", of_bob).await;
    let late = json!({"message": late["message"]});
    story.call(alice, "message.cancel", late).await;
    stage.start("bob").await.unwrap();
    bob.reconnect(stage).await.unwrap();
}

/// Keeps those that are missing, or no longer fit what is kept.
fn keep(stage: &Stage, story: Story, events: Vec<Event>) {
    let mut kept = Examples::kept();
    kept.methods
        .retain(|method, _| METHODS.iter().any(|info| info.name == method));
    kept.events
        .retain(|kind, _| EVENTS.iter().any(|info| info.kind == kind));
    for (method, mut example) in story.calls {
        let fits = |kept: &Example| {
            SCHEMAS.parameters(&method, &kept.parameters).is_ok() && SCHEMAS.reply(&method, &kept.reply).is_ok()
        };
        if kept.methods.get(&method).is_some_and(|kept| kept.iter().all(fits)) {
            continue;
        }
        if method == "rpc.discover" {
            // It has all examples in it, this one too.
            example.reply["methods"] = json!([]);
            example.reply["components"] = json!({});
            example.reply["x-events"] = json!([]);
        }
        kept.methods.insert(method, vec![example]);
    }
    for event in events {
        let fits = |kept: &Event| SCHEMAS.event(&serde_json::to_value(kept).unwrap()).is_ok();
        if !kept.events.get(&event.kind).is_some_and(fits) {
            kept.events.insert(event.kind.clone(), event);
        }
    }
    let home = stage.home("alice");
    let text = serde_json::to_string_pretty(&kept).unwrap();
    let text = text.replace(home.to_str().unwrap(), "/home/alice/.local/share/porchlight");
    assert!(
        !text.contains(stage.folder().to_str().unwrap()),
        "no path of this machine"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/rpc/examples.json");
    std::fs::write(path, format!("{text}\n")).unwrap();
}

/// Values of a parameter that its schema allows, and such that it refuses.
fn either_side(schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    for word in schema["enum"].as_array().into_iter().flatten() {
        allowed.push(word.clone());
        refused.push(json!("no such word"));
    }
    if let Some(least) = schema["minimum"].as_i64() {
        allowed.push(json!(least));
        refused.push(json!(least - 1));
    }
    if let Some(most) = schema["maximum"].as_i64() {
        allowed.push(json!(most));
        refused.push(json!(most + 1));
    }
    if let Some(most) = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok()) {
        allowed.push(json!("x".repeat(most)));
        refused.extend([json!(""), json!("x".repeat(most + 1))]);
    }
    if schema["pattern"].is_string() {
        refused.push(json!("two words"));
    }
    refused.push(json!([["neither a text nor a number"]]));
    let optional = schema["type"]
        .as_array()
        .is_some_and(|types| types.contains(&json!("null")));
    if optional { &mut allowed } else { &mut refused }.push(Value::Null);
    (allowed, refused)
}

#[tokio::test]
async fn a_node_refuses_what_the_schemas_refuse_and_takes_what_they_allow() {
    let mut stage = stage();
    stage.start("alice").await.unwrap();
    let mut calls = stage.client("alice").await.unwrap();
    let own = calls.call_raw("invite.create", json!({})).await.unwrap()["uri"].clone();
    let examples = Examples::kept();
    let mut tried = 0;
    for method in METHODS {
        let mut usual = examples.methods[method.name][0].parameters.clone();
        if method.name == "contact.add" {
            // Judged here, without asking anyone.
            usual["invite"] = own.clone();
        }
        let schema = method.params.read().to_value();
        let mut calls_to_make = vec![(json!({"no such parameter": 1}), false)];
        let properties = schema["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            let with = |value: &Value| {
                let mut parameters = usual.clone();
                parameters[name] = value.clone();
                parameters
            };
            let (allowed, refused) = either_side(property);
            calls_to_make.extend(allowed.iter().map(|value| (with(value), true)));
            calls_to_make.extend(refused.iter().map(|value| (with(value), false)));
            let mut without = usual.clone();
            without.as_object_mut().unwrap().remove(name);
            let needed = schema["required"]
                .as_array()
                .is_some_and(|names| names.contains(&json!(name)));
            calls_to_make.push((without, !needed));
        }
        // Where one parameter takes the place of another, the schema as a whole decides.
        let of_each_other = schema.get("oneOf").is_some();
        for (parameters, fits) in calls_to_make {
            let allowed = SCHEMAS.parameters(method.name, &parameters).is_ok();
            let fits = if of_each_other { allowed } else { fits };
            assert_eq!(allowed, fits, "{} {parameters}", method.name);
            let taken = match calls.call_raw(method.name, parameters.clone()).await {
                Err(ClientError::Refused(error)) => error.data.kind != Kind::InvalidParams,
                answered => answered.is_ok(),
            };
            assert_eq!(taken, fits, "{} {parameters}", method.name);
            tried += 1;
        }
    }
    assert!(tried > 4 * METHODS.len(), "{tried}");
}
