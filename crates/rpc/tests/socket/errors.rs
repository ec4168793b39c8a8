//! Errors as the client gets them.

use crate::site::{Site, patiently, request};
use porchlight_rpc::methods::{ContactAdd, NodeInfo, PresenceGet};
use porchlight_rpc::{ClientError, Kind, Method, types};
use serde_json::json;

#[tokio::test]
async fn an_error_reaches_the_client_whole() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let answer = raw
        .answer(&request(json!(9), PresenceGet::NAME, &json!({"contact": "nobody"})))
        .await;
    assert_eq!(
        answer,
        json!({"jsonrpc": "2.0", "id": 9, "error": {
            "code": 1,
            "message": "there is no contact called 'nobody'",
            "data": {
                "kind": "not_found",
                "retryable": false,
                "hint": "`porchlight contacts` lists the contacts",
            },
        }})
    );
    let params = types::OneContact {
        contact: "nobody".to_owned(),
    };
    let error = patiently(site.client().await.call::<PresenceGet>(&params))
        .await
        .unwrap_err();
    let ClientError::Refused(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.data.kind, Kind::NotFound);
    assert_eq!(error.to_string(), "there is no contact called 'nobody'");
    assert_eq!(
        error.data.hint.as_deref(),
        Some("`porchlight contacts` lists the contacts")
    );

    // Without a hint there is no field for one; and what may succeed later says so.
    let answer = raw
        .answer(&request(json!(10), ContactAdd::NAME, &json!({"invite": "x"})))
        .await;
    assert_eq!(
        answer["error"]["data"],
        json!({"kind": "unreachable", "retryable": true})
    );
}

#[tokio::test]
async fn an_answer_of_another_shape_is_named() {
    let site = Site::open();
    let error = patiently(site.client().await.call::<NodeInfo>(&types::Nothing {}))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreadable(_)), "{error}");
}
