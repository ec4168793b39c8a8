//! What those in between can read: nothing.

use super::town::{alice_and_bob, join, porchlight};
use porchlight::demo::search::{search_folder, search_memory};
use porchlight_wire::ids::PrincipalId;

const NOTE: &str = "a note that is nobody's business";

#[tokio::test]
async fn rfc2779_2_5_3_relays_and_a_stranger_read_nothing() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    let mallory = join(&mut stage, "mallory").await;
    alice.set("busy", Some(NOTE)).await.unwrap();
    let told = bob.told("alice is busy", |told| told.status == "busy").await.unwrap();
    assert_eq!(told.notes[0].text, NOTE);
    // The stranger is in the same topics and asks for her by her id, as those may who know it. Not even by that do relays learn
    // her id.
    let refused = porchlight(&stage, "mallory", &["who", &alice.principal]).await;
    refused.failed(5, &["nothing is public"]);

    let mut secrets = vec![NOTE.as_bytes().to_vec()];
    for person in [&alice, &bob] {
        let principal: PrincipalId = person.principal.parse().unwrap();
        secrets.push(principal.as_bytes().to_vec());
    }
    // The search is a search: at home the note is found.
    let at_home = search_memory(stage.pid("alice").unwrap(), &secrets);
    if let Ok(places) = &at_home {
        assert!(*places > 0);
    }
    // The stranger, in the same topics and at the same relays, has nothing of the note in her memory either.
    if at_home.is_ok() {
        let places = search_memory(stage.pid(mallory.name()).unwrap(), &[NOTE.as_bytes().to_vec()]).unwrap();
        assert_eq!(places, 0, "{}", mallory.name());
    }
    for name in ["relay-1", "relay-2", mallory.name()] {
        assert_eq!(search_folder(&stage.home(name), &secrets).unwrap(), 0, "{name}");
        if at_home.is_ok() && name != mallory.name() {
            assert_eq!(search_memory(stage.pid(name).unwrap(), &secrets).unwrap(), 0, "{name}");
        }
    }
}

#[tokio::test]
async fn nothing_readable_lies_on_ones_own_disk_either() {
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    alice.set("busy", Some(NOTE)).await.unwrap();
    bob.told("alice is busy", |told| told.status == "busy").await.unwrap();
    let secrets = vec![NOTE.as_bytes().to_vec()];
    for name in ["alice", "bob"] {
        assert_eq!(search_folder(&stage.home(name), &secrets).unwrap(), 0, "{name}");
    }
}
