use super::*;
use porchlight_proto::event::Verdict;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// A contact who is seen and connected, in a network that works.
fn well() -> Facts {
    Facts {
        name: "bob".to_owned(),
        standing: Standing::Granted,
        told: Verdict::AsRecorded,
        heard: heard(false, 12),
        uplink: Uplink::Relays,
        lost_relays: Vec::new(),
        clocks_ahead: Some(0),
        record: record(Verdict::AsRecorded, 12),
        reach: Reach::Connected,
        their_relays: TheirRelays::Answer,
        messages: Messages::default(),
        now: NOW,
    }
}

/// A record that holds for 90 s from when it was issued.
fn heard(direct: bool, seconds_ago: u64) -> Option<Heard> {
    let issued = UnixMillis(NOW.0 - seconds_ago * 1_000);
    Some(Heard {
        issued,
        holds_until: issued.plus(90_000),
        direct,
    })
}

fn record(verdict: Verdict, seconds_ago: u64) -> Record {
    Record::Found(FoundRecord::Read {
        verdict,
        issued: UnixMillis(NOW.0 - seconds_ago * 1_000),
    })
}

fn refused() -> Messages {
    Messages {
        refused: Some(FailureReason::Refused),
        ..Messages::default()
    }
}

fn unreached() -> Reach {
    Reach::Unanswered("nobody listens there".to_owned())
}

#[test]
fn each_set_of_facts_has_its_one_conclusion() {
    let silent = || Uplink::SeedPeersSilent("no answer in time".to_owned());
    let wrong = || Uplink::SeedPeersWrong("another node is there, 12D3KooWx".to_owned());
    let why = || Some("nobody listens there".to_owned());
    let cut_off = || Facts {
        told: Verdict::UnknownNoSource,
        uplink: silent(),
        record: Record::NotLooked,
        reach: unreached(),
        ..well()
    };
    let gone = || Facts {
        told: Verdict::ClosedLapsed,
        record: record(Verdict::ClosedLapsed, 600),
        reach: unreached(),
        ..well()
    };
    let no_record = || Facts {
        told: Verdict::UnknownNoRecord,
        record: Record::Nowhere(3),
        reach: unreached(),
        ..well()
    };
    let table: Vec<(&str, bool, Facts, &str)> = vec![
        ("reachable", true, well(), "directly"),
        (
            "reachable",
            true,
            Facts {
                reach: Reach::Answered,
                ..well()
            },
            "directly",
        ),
        // Whoever is seen through a relay that is not ours any more is reached all the same.
        (
            "reachable",
            true,
            Facts {
                uplink: silent(),
                ..well()
            },
            "directly",
        ),
        (
            "seen_not_reached",
            true,
            Facts {
                reach: unreached(),
                ..well()
            },
            "nobody listens there",
        ),
        (
            "seen_not_reached",
            true,
            Facts {
                reach: Reach::NoAddress,
                ..well()
            },
            "names no address",
        ),
        // It is not known to be gone, nor to be there.
        (
            "not_answering",
            false,
            Facts {
                reach: unreached(),
                heard: heard(true, 12),
                ..well()
            },
            "last heard of 12 s ago, which holds for 78 s more); the next is due in 48 s",
        ),
        (
            "not_answering",
            false,
            Facts {
                reach: Reach::NobodyListens,
                ..well()
            },
            "does not answer (nobody listens there)",
        ),
        (
            "not_answering",
            false,
            Facts {
                reach: unreached(),
                heard: heard(false, 70),
                ..well()
            },
            "the next was due 10 s ago",
        ),
        // Nothing is missed yet of who is seen through relays only.
        (
            "seen_not_reached",
            true,
            Facts {
                reach: unreached(),
                heard: heard(false, 62),
                ..well()
            },
            "last heard of 62 s ago, which holds for 28 s more",
        ),
        (
            "messages_refused",
            false,
            Facts {
                messages: refused(),
                ..well()
            },
            "they do not take your messages",
        ),
        (
            "not_a_contact",
            false,
            Facts {
                standing: Standing::NoContact,
                ..cut_off()
            },
            "'bob' is no contact",
        ),
        (
            "introduction_refused",
            false,
            Facts {
                standing: Standing::Refused(FirstContactProblem::InviteUsedUp),
                ..no_record()
            },
            "used up",
        ),
        (
            "ended_by_them",
            false,
            Facts {
                standing: Standing::Ended,
                ..no_record()
            },
            "removed you",
        ),
        // That they ended it stands, whatever the network does now.
        (
            "ended_by_them",
            false,
            Facts {
                standing: Standing::Ended,
                ..cut_off()
            },
            "removed you",
        ),
        (
            "not_subscribed",
            false,
            Facts {
                standing: Standing::NotSubscribed,
                ..no_record()
            },
            "not subscribed",
        ),
        ("cut_off", false, cut_off(), "no answer in time"),
        (
            "cut_off",
            false,
            Facts {
                uplink: Uplink::NoSeedPeers,
                ..cut_off()
            },
            "no seed peer is configured",
        ),
        (
            "cut_off",
            false,
            Facts {
                standing: Standing::Unanswered(why()),
                ..cut_off()
            },
            "seed peers",
        ),
        (
            "wrong_seed_peer",
            false,
            Facts {
                uplink: wrong(),
                ..cut_off()
            },
            "12D3KooWx",
        ),
        (
            "clock_off",
            false,
            Facts {
                clocks_ahead: Some(-45_000),
                ..gone()
            },
            "by 45 s",
        ),
        (
            "clock_off",
            false,
            Facts {
                told: Verdict::UnknownClock,
                ..well()
            },
            "do not fit",
        ),
        (
            "not_answered",
            false,
            Facts {
                standing: Standing::Unanswered(why()),
                ..no_record()
            },
            "nobody listens there",
        ),
        (
            "not_answered",
            false,
            Facts {
                standing: Standing::Unanswered(None),
                ..no_record()
            },
            "has not answered",
        ),
        (
            "nothing_granted",
            false,
            Facts {
                standing: Standing::NothingGranted,
                ..no_record()
            },
            "nothing to see",
        ),
        (
            "view_replaced",
            false,
            Facts {
                standing: Standing::Stale(why()),
                ..no_record()
            },
            "nobody listens there",
        ),
        (
            "view_replaced",
            false,
            Facts {
                told: Verdict::UnknownViewEnded,
                record: record(Verdict::UnknownViewEnded, 9),
                ..well()
            },
            "has ended",
        ),
        (
            "view_replaced",
            false,
            Facts {
                record: Record::Found(FoundRecord::Unreadable),
                ..well()
            },
            "has ended",
        ),
        (
            "away",
            true,
            Facts {
                told: Verdict::Closed,
                record: record(Verdict::Closed, 300),
                reach: unreached(),
                ..well()
            },
            "said goodbye and closed; their record is of 5 min ago",
        ),
        (
            "away",
            true,
            Facts {
                told: Verdict::Closed,
                record: record(Verdict::Closed, 3),
                ..well()
            },
            "runs and answers",
        ),
        (
            "no_source",
            false,
            Facts {
                told: Verdict::UnknownNoSource,
                ..well()
            },
            "12 s ago",
        ),
        (
            "lookups_unanswered",
            false,
            Facts {
                record: Record::NobodyAnswered,
                ..no_record()
            },
            "answer no lookups",
        ),
        (
            "silent",
            false,
            Facts {
                reach: Reach::Answered,
                ..gone()
            },
            "no current record",
        ),
        (
            "silent",
            false,
            Facts {
                reach: Reach::Connected,
                ..no_record()
            },
            "no current record",
        ),
        ("lapsed", false, gone(), "of 10 min ago"),
        (
            "lapsed",
            false,
            Facts {
                record: Record::Nowhere(2),
                ..gone()
            },
            "without a goodbye",
        ),
        ("record_nowhere", false, no_record(), "3 nodes answered"),
        (
            "not_looked",
            false,
            Facts {
                record: Record::NotLooked,
                ..no_record()
            },
            "nobody could be asked",
        ),
    ];
    for (kind, ok, facts, words) in table {
        let concluded = conclude(&facts);
        assert_eq!((concluded.kind.as_str(), concluded.ok), (kind, ok), "{facts:?}");
        assert!(concluded.message.contains(words), "{words:?} in {concluded:?}");
        assert!(!concluded.hint.is_empty(), "{concluded:?}");
    }
}

#[test]
fn a_schema_lists_every_conclusion() {
    let schema = include_str!("../../../../docs/rpc/methods/net.diagnose.json");
    let page = include_str!("../../../../docs/troubleshooting.md");
    let source = include_str!("../conclude.rs");
    let calls = source.split("bad(").chain(source.split("good("));
    let kinds: std::collections::BTreeSet<&str> = calls
        .filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next())
        .filter(|kind| !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    for kind in kinds {
        assert!(schema.contains(&format!("\"{kind}\"")), "{kind} is in no schema");
        assert!(
            page.contains(&format!("`{kind}`")),
            "{kind} is not in docs/troubleshooting.md"
        );
    }
}

#[test]
fn what_else_should_be_known_is_said_beside_the_cause() {
    let also = |facts: &Facts| conclude(facts).also;
    assert_eq!(also(&well()), Vec::<String>::new());
    let kept = Facts {
        messages: Messages {
            waiting: 3,
            stored: 2,
            stored_until: Some(NOW.plus(6 * 86_400_000)),
            refused: None,
        },
        told: Verdict::ClosedLapsed,
        record: record(Verdict::ClosedLapsed, 600),
        reach: Reach::NobodyListens,
        their_relays: TheirRelays::Silent("no answer in time".to_owned()),
        lost_relays: vec!["/ip4/203.0.113.7/tcp/4110 (nobody listens there)".to_owned()],
        ..well()
    };
    let said = also(&kept);
    for (line, begins) in said.iter().zip([
        "relays keep 2 messages for them, for 6 d more",
        "one message waits for their receipt and is not at relays",
        "none of the relays that their card names answers (no answer in time)",
        "of the relays that this node uses, one does not answer: /ip4/203.0.113.7/tcp/4110 (nobody listens there)",
    ]) {
        assert!(line.starts_with(begins), "{line}");
    }
    assert_eq!(said.len(), 4, "{said:?}");
    // What is the cause is not said twice.
    let refused = Facts {
        messages: refused(),
        ..well()
    };
    assert_eq!(also(&refused), Vec::<String>::new());
    let gone = Facts {
        told: Verdict::ClosedLapsed,
        record: record(Verdict::ClosedLapsed, 600),
        reach: unreached(),
        ..refused
    };
    assert_eq!(also(&gone).len(), 1);
}
