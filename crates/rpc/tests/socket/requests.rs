//! What clients send that they should not.

use crate::site::{Site, kind, notification, patiently, request, settle, settle_a_little, until};
use porchlight_rpc::methods::{ContactAdd, ContactList, NodeStop, PresenceGet};
use porchlight_rpc::server::LINE_BYTES;
use porchlight_rpc::{ClientError, Kind, Method, types};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn what_is_no_request_is_answered_and_the_connection_goes_on() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let lines: [(&[u8], i32, &str, Value); 10] = [
        (b"\xff\xfe\x00garbage\n", -32700, "parse_error", Value::Null),
        (b"GET / HTTP/1.1\n", -32700, "parse_error", Value::Null),
        (b"{\n", -32700, "parse_error", Value::Null),
        (b"{} {}\n", -32700, "parse_error", Value::Null),
        (b"{}\n", -32600, "invalid_request", Value::Null),
        (b"5\n", -32600, "invalid_request", Value::Null),
        (b"null\n", -32600, "invalid_request", Value::Null),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":8}\n",
            -32600,
            "invalid_request",
            json!(7),
        ),
        (
            b"{\"id\":\"seven\",\"method\":\"node.info\"}\n",
            -32600,
            "invalid_request",
            json!("seven"),
        ),
        (
            b"{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"node.info\"}\n",
            -32600,
            "invalid_request",
            json!(7),
        ),
    ];
    for (line, code, expected, id) in lines {
        let answer = raw.answer(line).await;
        let shown = String::from_utf8_lossy(line);
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        assert_eq!(kind(&answer), expected, "{shown}: {answer}");
        assert_eq!(answer["id"], id, "{shown}: {answer}");
        assert_eq!(answer["error"]["data"]["retryable"], false);
    }
    raw.send(b"\n   \n\r\n").await;
    raw.works().await;
    assert_eq!(
        site.desk.taken.lock().unwrap().len(),
        1,
        "nothing else reached the handler"
    );
}

#[tokio::test]
async fn a_batch_is_refused_as_a_whole() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "contact.list"},
        {"jsonrpc": "2.0", "id": 2, "method": "contact.list"},
    ]);
    let answer = raw.answer(format!("{batch}\n").as_bytes()).await;
    assert_eq!(kind(&answer), "invalid_request");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("one object per line")
    );
    raw.works().await;
    assert_eq!(site.desk.taken(ContactList::NAME), 1);
}

#[tokio::test]
async fn the_longest_line_is_served_and_a_longer_one_ends_the_connection() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let mut line = request(json!(1), ContactList::NAME, &json!({}));
    line.pop();
    line.resize(LINE_BYTES, b' ');
    line.push(b'\n');
    assert_eq!(raw.answer(&line).await["result"], json!({"contacts": []}));

    line.insert(0, b' ');
    // The server may have gone before everything is sent.
    let _ = raw.write.write_all(&line).await;
    let answer = raw.line().await.unwrap();
    assert_eq!(kind(&answer), "too_large");
    assert_eq!(answer["id"], Value::Null);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains(&LINE_BYTES.to_string())
    );
    // It is over, be it by an end or by a reset.
    assert!(!matches!(patiently(raw.read.next_line()).await, Ok(Some(_))));
    site.client()
        .await
        .call::<ContactList>(&types::Nothing {})
        .await
        .unwrap();
}

#[tokio::test]
async fn the_client_is_told_that_its_line_is_too_long() {
    let site = Site::open();
    let mut client = site.client().await;
    let params = types::ContactAdd {
        invite: "a".repeat(2 * LINE_BYTES),
        name: None,
        view: None,
        idempotency_key: None,
    };
    let error = patiently(client.call::<ContactAdd>(&params)).await.unwrap_err();
    let ClientError::Refused(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.data.kind, Kind::TooLarge);
}

#[tokio::test]
async fn half_a_line_is_no_call() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let line = request(json!(1), NodeStop::NAME, &json!({}));
    raw.send(&line[..line.len() - 1]).await;
    raw.write.shutdown().await.unwrap();
    assert_eq!(raw.line().await, None);
    assert_eq!(site.desk.taken(NodeStop::NAME), 0);
}

#[tokio::test]
async fn a_line_may_come_in_pieces_and_many_lines_in_one() {
    let site = Site::open();
    let mut raw = site.raw().await;
    for byte in request(json!(1), ContactList::NAME, &json!({})) {
        raw.send(&[byte]).await;
        settle_a_little().await;
    }
    assert_eq!(raw.line().await.unwrap()["id"], 1);
    let many: Vec<u8> = (2..12)
        .flat_map(|id| request(json!(id), ContactList::NAME, &json!({})))
        .collect();
    raw.send(&many).await;
    let mut ids = BTreeSet::new();
    for _ in 2..12 {
        ids.insert(raw.line().await.unwrap()["id"].as_u64().unwrap());
    }
    assert_eq!(ids, (2..12).collect());
}

#[tokio::test]
async fn deep_json_is_refused_without_harm() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let arrays = format!("{}\n", "[".repeat(LINE_BYTES));
    assert_eq!(kind(&raw.answer(arrays.as_bytes()).await), "parse_error");
    let objects = format!("{}1{}", "{\"a\":".repeat(150_000), "}".repeat(150_000));
    let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"contact.list\",\"params\":{objects}}}\n");
    assert!(line.len() <= LINE_BYTES);
    assert_eq!(kind(&raw.answer(line.as_bytes()).await), "parse_error");
    raw.works().await;
}

#[tokio::test]
async fn a_method_that_is_not_there_brings_those_that_are() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let near = raw.answer(&request(json!(1), "presence.got", &json!({}))).await;
    assert_eq!(kind(&near), "method_not_found");
    assert_eq!(near["error"]["code"], -32601);
    let hint = near["error"]["data"]["hint"].as_str().unwrap();
    assert!(hint.contains("presence.get") && !hint.contains("node.info"), "{hint}");

    let far = raw.answer(&request(json!(2), "rm -rf", &json!({}))).await;
    assert!(far["error"]["data"]["hint"].as_str().unwrap().contains("node.info"));

    // What came is shown, but neither whole nor with what a terminal would act on.
    let nasty = format!("\u{1b}[2J{}", "n".repeat(10_000));
    let shown = raw.answer(&request(json!(3), &nasty, &json!({}))).await;
    let message = shown["error"]["message"].as_str().unwrap();
    assert!(message.len() < 200 && !message.contains('\u{1b}'), "{message}");
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let wrong = [
        (json!({"contct": "alice"}), "contct"),
        (json!({"contact": "alice", "and": 1}), "and"),
        (json!({"contact": 5}), "5"),
        (json!({}), "contact"),
        (Value::Null, "contact"),
        (json!("alice"), "alice"),
        // Parameters have names, so that there can be more of them later.
        (json!(["alice"]), "object"),
    ];
    for (params, named) in wrong {
        let answer = raw.answer(&request(json!(1), PresenceGet::NAME, &params)).await;
        assert_eq!(kind(&answer), "invalid_params", "{params}: {answer}");
        assert_eq!(answer["error"]["code"], -32602);
        assert!(
            answer["error"]["message"].as_str().unwrap().contains(named),
            "{params}: {answer}"
        );
        assert!(
            answer["error"]["data"]["hint"]
                .as_str()
                .unwrap()
                .contains("docs/rpc.md")
        );
    }
    assert_eq!(site.desk.taken(PresenceGet::NAME), 0);
}

#[tokio::test]
async fn a_notification_is_carried_out_and_not_answered() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&notification(PresenceGet::NAME, &json!({"contact": "alice"})))
        .await;
    raw.send(&notification("no.such.method", &json!({}))).await;
    raw.send(&notification(PresenceGet::NAME, &json!({"contct": "alice"})))
        .await;
    raw.send(&notification(ContactList::NAME, &json!({}))).await;
    until(|| site.desk.taken(PresenceGet::NAME) == 1 && site.desk.taken(ContactList::NAME) == 1).await;
    settle().await;
    raw.works().await;
    assert_eq!(site.desk.taken(PresenceGet::NAME), 1, "the one that fits");
}

#[tokio::test]
async fn an_id_comes_back_as_it_was() {
    let site = Site::open();
    let mut raw = site.raw().await;
    for id in [
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1.5),
        json!("a \"text\"\n"),
        json!(""),
    ] {
        let answer = raw.answer(&request(id.clone(), ContactList::NAME, &json!({}))).await;
        assert_eq!(answer["id"], id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_are_begun_in_the_order_of_their_lines() {
    let site = Site::open();
    let mut raw = site.raw().await;
    for _ in 0..50 {
        site.desk.taken.lock().unwrap().clear();
        let methods: Vec<&str> = (0..30)
            .map(|number| {
                if number * number % 7 < 3 {
                    "contact.list"
                } else {
                    "presence.get"
                }
            })
            .collect();
        let mut lines = String::new();
        for (id, method) in methods.iter().enumerate() {
            let params = if *method == "presence.get" {
                json!({"contact": "bob"})
            } else {
                json!({})
            };
            let call = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            lines.push_str(&format!("{call}\n"));
        }
        raw.send(lines.as_bytes()).await;
        for _ in &methods {
            raw.line().await;
        }
        assert_eq!(*site.desk.taken.lock().unwrap(), methods);
    }
}
