use super::*;
use porchlight_net::{Counters, PeerInfo};
use porchlight_proto::health::{ClockOf, Lag, Published, SourceOf};
use porchlight_store::Slow;
use porchlight_wire::ids::{NodeAddress, NodeId};
use porchlight_wire::time::UnixMillis;

const NOW: u64 = 1_790_000_000_000;

fn node() -> NodeId {
    porchlight_net::node_id(&[7; 32]).unwrap()
}

fn peer(relay: bool) -> PeerInfo {
    PeerInfo {
        node: node(),
        address: None,
        relay,
        seed: relay,
        contact: false,
        follows: false,
        inbound: false,
        rtt_micros: None,
        connected_for_ms: 5,
    }
}

fn published(what: What) -> Published {
    Published {
        what,
        stored: Some(UnixMillis(NOW)),
        unkept: 0,
    }
}

/// A node that is well.
fn well() -> Measured {
    Measured {
        role: Role::Ordinary,
        seeds: 1,
        net: Some(NetStatus {
            node: node(),
            listening: vec![NodeAddress {
                node: node(),
                address: "/ip4/203.0.113.7/tcp/4110".parse().unwrap(),
            }],
            peers: vec![peer(true)],
            counters: Counters::default(),
            records: 0,
            topics: 1,
            wrong_seeds: Vec::new(),
            dropped_ago: None,
        }),
        condition: Some(Condition {
            publications: vec![published(What::Card), published(What::View("contacts".to_owned()))],
            card: Vec::new(),
            sources: vec![SourceOf {
                contact: "bob".to_owned(),
                live: true,
            }],
            clocks: vec![clock_of("bob", -40)],
            consumers: vec![lag("doorbell", 3)],
            oldest_letter: None,
        }),
        store: StoreStats {
            commits: 9,
            transactions: 9,
            syncs: 3,
            under_way: Some(Duration::from_millis(3)),
            last_slow: None,
        },
        unreadable: None,
        card: Some((2, 2)),
        now: NOW,
    }
}

fn clock_of(contact: &str, ahead: i64) -> ClockOf {
    ClockOf {
        contact: contact.to_owned(),
        ahead,
    }
}

fn lag(consumer: &str, behind: u64) -> Lag {
    Lag {
        consumer: consumer.to_owned(),
        behind,
        seen: UnixMillis(NOW - 60_000),
    }
}

/// What is found when one thing is otherwise than well.
fn kinds(change: impl FnOnce(&mut Measured)) -> Vec<String> {
    let mut measured = well();
    change(&mut measured);
    let health = judge(&measured);
    let kinds: Vec<String> = health.reasons.iter().map(|reason| reason.kind.clone()).collect();
    assert_eq!(health.status == "ok", kinds.is_empty());
    assert_eq!(health.checks.iter().filter(|check| !check.ok).count(), kinds.len());
    for reason in &health.reasons {
        assert!(!reason.hint.is_empty() && !reason.message.is_empty());
        assert!(
            health
                .checks
                .iter()
                .any(|check| check.check == reason.check && !check.ok)
        );
    }
    kinds
}

fn inside(measured: &mut Measured) -> &mut Condition {
    measured.condition.as_mut().unwrap()
}

#[test]
fn a_node_that_is_well_is_said_to_be() {
    assert_eq!(kinds(|_| {}), [] as [&str; 0]);
    assert_eq!(judge(&well()).checks.len(), 10);
}

#[test]
fn each_thing_that_is_not_well_is_found_by_itself() {
    assert_eq!(
        kinds(|it| it.net.as_mut().unwrap().listening.clear()),
        ["listens_nowhere"]
    );
    assert_eq!(
        kinds(|it| it.net.as_mut().unwrap().peers = vec![peer(false)]),
        ["no_relay"]
    );
    assert_eq!(kinds(|it| it.condition = None), ["not_answering"]);
    assert_eq!(kinds(|it| it.net = None), ["not_answering"]);
    assert_eq!(
        kinds(|it| it.unreadable = Some("disk I/O error".to_owned())),
        ["store_unreadable"]
    );
    assert_eq!(kinds(|it| it.card = Some((0, 0))), ["lookups_unanswered"]);
    assert_eq!(kinds(|it| it.card = Some((2, 0))), ["card_not_found"]);
    assert_eq!(
        kinds(|it| inside(it).publications[1].unkept = UNKEPT),
        ["puts_not_stored"]
    );
    assert_eq!(kinds(|it| inside(it).sources[0].live = false), ["no_live_source"]);
    let lately = Some(LATELY / 2);
    assert_eq!(
        kinds(|it| it.net.as_mut().unwrap().dropped_ago = lately),
        ["events_dropped"]
    );
    assert_eq!(
        kinds(|it| inside(it).consumers.push(lag("slow", BEHIND + 1))),
        ["consumer_behind"]
    );
    for ahead in [-10_000, 10_000, i64::MAX, i64::MIN] {
        assert_eq!(kinds(|it| inside(it).clocks[0].ahead = ahead), ["clock_off"], "{ahead}");
    }
}

#[test]
fn a_slow_disk_is_found_while_it_is_slow_and_for_a_while_after() {
    assert_eq!(kinds(|it| it.store.under_way = Some(SLOW)), ["store_slow"]);
    let slow = |ago| Some(Slow { took: SLOW * 2, ago });
    assert_eq!(kinds(|it| it.store.last_slow = slow(LATELY / 2)), ["store_slow"]);
    assert_eq!(kinds(|it| it.store.last_slow = slow(LATELY)), [] as [&str; 0]);
}

#[test]
fn what_is_no_fault_is_none() {
    let nothing = [] as [&str; 0];
    // A relay may be the only one.
    assert_eq!(
        kinds(|it| {
            it.role = Role::Relay;
            it.net.as_mut().unwrap().peers.clear();
            it.card = None;
        }),
        nothing
    );
    // A card that was never stored is a put that was not kept, or one that is still to come.
    assert_eq!(
        kinds(|it| {
            it.card = Some((2, 0));
            inside(it).publications[0].stored = None;
        }),
        nothing
    );
    assert_eq!(kinds(|it| inside(it).publications[1].unkept = UNKEPT - 1), nothing);
    assert_eq!(kinds(|it| it.net.as_mut().unwrap().dropped_ago = Some(LATELY)), nothing);
    // One contact with a wrong clock among several.
    assert_eq!(
        kinds(|it| inside(it).clocks = vec![clock_of("a", 0), clock_of("b", 60_000), clock_of("c", 5)]),
        nothing
    );
    // The command line's own consumers, and those that were given up.
    assert_eq!(
        kinds(|it| inside(it).consumers.push(lag("porchlight-who", BEHIND * 2))),
        nothing
    );
    assert_eq!(
        kinds(|it| {
            let mut old = lag("old", BEHIND * 2);
            old.seen = UnixMillis(NOW - GIVEN_UP);
            inside(it).consumers.push(old);
        }),
        nothing
    );
}

#[test]
fn many_names_are_not_all_listed() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    assert_eq!(named(names.into_iter()), "a, b, c, d, e and 2 more");
    assert_eq!(named(names.into_iter().take(2)), "a, b");
}
