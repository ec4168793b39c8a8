//! Where presence is followed: at the presentity's own node where its view tells it, at one's own relay otherwise, and at the
//! relays that contacts name while one's own are gone.

use crate::network::Site;
use crate::{Command, DAY, HOUR, MINUTE, Reply, SECOND, Status, Who, World};
use porchlight_proto::event::Source;
use porchlight_proto::reply::ViewInfo;
use porchlight_proto::rows::{Projection, ReachLevel};
use porchlight_wire::grant::Right;
use porchlight_wire::presence::Reach;
use std::collections::BTreeSet;

/// Alice, and bob who watches her, follows, and is in no topic at all: he shows her a view that is in the DHT only.
fn alice_and_bob(seed: u8) -> (World, Who, Who) {
    let mut world = World::new(seed);
    let alice = world.join("alice");
    let bob = world.join_silently("bob");
    world.members[bob].config.follow = true;
    world.boot(bob);
    world.run_for(5 * SECOND);
    let glance = "glance".to_owned();
    let create = Command::CreateView {
        name: glance.clone(),
        projection: Projection::Full,
        rights: BTreeSet::from([Right::Fetch]),
        reach: None,
    };
    world.call(bob, create).unwrap();
    let invite = world.invite(alice, 1);
    let add = Command::AddContact {
        invite,
        name: None,
        view: glance,
    };
    world.call(bob, add).unwrap();
    world.run_for(MINUTE);
    assert!(world.members[bob].topics.is_empty());
    (world, alice, bob)
}

fn update(view: &str, reach: ReachLevel) -> Command {
    Command::UpdateView {
        name: view.to_owned(),
        reach,
    }
}

fn tells(world: &mut World, who: Who, view: &str, reach: ReachLevel) -> ViewInfo {
    match world.call(who, update(view, reach)) {
        Ok(Reply::View(info)) => info,
        other => panic!("not the answer to this question: {other:?}"),
    }
}

/// What `watcher` was told of where the node of `of` is.
fn told_reach(world: &World, watcher: Who, of: Who) -> Option<Reach> {
    let of = world.members[of].principal();
    world.members[watcher].disk.observed.get(&of)?.state.reach.clone()
}

fn told_node(world: &World, watcher: Who, of: Who) -> bool {
    told_reach(world, watcher, of).is_some_and(|reach| reach.node.is_some())
}

/// How many addresses `watcher` is told of by the node of `of`.
fn followed_at(world: &World, watcher: Who, of: Who) -> usize {
    let node = world.members[of].address.node;
    world.members[watcher].followed.get(&node).map_or(0, BTreeSet::len)
}

#[test]
fn rfc2779_2_4_1_a_watcher_follows_at_the_presentitys_own_node_and_needs_no_relay() {
    let (mut world, alice, bob) = alice_and_bob(220);
    assert!(followed_at(&world, bob, alice) > 0);
    for relay in 0..3 {
        world.relay_goes(relay);
    }
    world.run_for(2 * MINUTE);
    for (status, shown) in [(Status::Busy, "busy"), (Status::Open, "open"), (Status::Away, "away")] {
        world.set(alice, status, None);
        world.run_for(SECOND);
        assert_eq!(world.sees(bob, alice), shown);
        assert_eq!(world.told(bob, alice).told.source, Some(Source::Direct));
    }
    // Each of them may come back alone.
    world.kill(bob);
    world.run_for(5 * SECOND);
    world.set(alice, Status::Busy, None);
    world.boot(bob);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
    world.kill(alice);
    world.run_for(5 * SECOND);
    world.boot(alice);
    world.run_for(10 * SECOND);
    world.set(alice, Status::Away, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "away");
    assert_eq!(world.told(bob, alice).told.source, Some(Source::Direct));
}

#[test]
fn rfc2779_2_4_1_who_cannot_reach_the_node_follows_at_a_relay() {
    let (mut world, alice, bob) = alice_and_bob(221);
    assert!(
        world.members[bob].follow.is_empty(),
        "no relay is told what the node itself tells"
    );
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.run_for(MINUTE);
    assert_eq!(followed_at(&world, bob, alice), 0);
    assert!(!world.members[bob].follow.is_empty());
    world.set(alice, Status::Busy, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
    assert_eq!(world.told(bob, alice).told.source, Some(Source::Relay));
    world.heal();
    world.run_for(MINUTE);
    assert!(followed_at(&world, bob, alice) > 0);
    assert!(world.members[bob].follow.is_empty());
    world.set(alice, Status::Away, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.told(bob, alice).told.source, Some(Source::Direct));
}

#[test]
fn a_relay_at_which_nothing_is_followed_is_no_source() {
    let (mut world, alice, bob) = alice_and_bob(222);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "open");
    // The relays are there and in all topics, and would tell bob nothing: as it is before they said that he may follow.
    let nodes = world.members[bob].live.iter().cloned().map(|mut live| {
        live.followed.clear();
        live
    });
    let nodes = nodes.collect();
    world.tell(bob, 0, porchlight_proto::Input::Live { nodes });
    world.run_for(1);
    assert_eq!(world.sees(bob, alice), "unknown (no source)");
}

#[test]
fn the_day_turns_and_who_follows_still_follows() {
    let (mut world, alice, bob) = alice_and_bob(223);
    for relay in 0..3 {
        world.relay_goes(relay);
    }
    for _ in 0..4 {
        world.run_for(DAY / 2 + HOUR);
        assert!(followed_at(&world, bob, alice) > 0);
        world.set(alice, Status::Busy, None);
        world.run_for(2 * SECOND);
        assert_eq!(world.sees(bob, alice), "busy");
        world.set(alice, Status::Open, None);
        world.run_for(2 * SECOND);
        assert_eq!(world.sees(bob, alice), "open");
    }
}

#[test]
fn a_view_tells_as_much_of_the_node_as_its_owner_says() {
    let (mut world, alice, bob) = alice_and_bob(224);
    assert!(
        told_node(&world, bob, alice),
        "contacts hold the card, which says it too"
    );
    let info = tells(&mut world, alice, "contacts", ReachLevel::Relay);
    assert_eq!(info.reach, ReachLevel::Relay);
    world.run_for(MINUTE);
    let reach = told_reach(&world, bob, alice).unwrap();
    assert!(reach.node.is_none());
    assert!(!reach.relays.is_empty());
    assert_eq!(followed_at(&world, bob, alice), 0);
    assert!(world.members[alice].served.is_empty());
    tells(&mut world, alice, "contacts", ReachLevel::None);
    world.run_for(MINUTE);
    assert_eq!(told_reach(&world, bob, alice), None);
    tells(&mut world, alice, "contacts", ReachLevel::Direct);
    world.run_for(MINUTE);
    assert!(told_node(&world, bob, alice));
    assert!(followed_at(&world, bob, alice) > 0);
}

#[test]
fn what_shows_little_and_what_everybody_sees_tells_nothing_of_the_node_unless_chosen() {
    let mut world = World::new(225);
    let alice = world.join("alice");
    let mut create = |name: &str, projection, rights: &[Right], reach| {
        let command = Command::CreateView {
            name: name.to_owned(),
            projection,
            rights: rights.iter().copied().collect(),
            reach,
        };
        match world.call(alice, command) {
            Ok(Reply::View(info)) => info.reach,
            other => panic!("not the answer to this question: {other:?}"),
        }
    };
    let both = [Right::Fetch, Right::Subscribe];
    assert_eq!(create("family", Projection::Full, &both, None), ReachLevel::Direct);
    assert_eq!(create("work", Projection::StatusOnly, &both, None), ReachLevel::None);
    assert_eq!(create("glance", Projection::Full, &both[..1], None), ReachLevel::None);
    assert_eq!(create("public", Projection::Full, &both, None), ReachLevel::None);
    let chosen = Some(ReachLevel::Relay);
    assert_eq!(create("team", Projection::StatusOnly, &both, chosen), ReachLevel::Relay);
    // Whoever took the addresses off the card finds them in no view.
    world.kill(alice);
    world.members[alice].config.card_addresses = false;
    world.boot(alice);
    let views = match world.call(alice, Command::ListViews) {
        Ok(Reply::Views(views)) => views,
        other => panic!("not the answer to this question: {other:?}"),
    };
    assert!(views.iter().all(|view| view.reach <= ReachLevel::Relay), "{views:?}");
}

#[test]
fn who_has_an_invite_and_nothing_else_is_not_told_where_the_node_is() {
    let mut world = World::new(226);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    // She does not answer: what bob sees is what whoever has the invite sees.
    world.kill(alice);
    world.run_for(5 * SECOND);
    world.add(bob, &invite).unwrap();
    world.run_for(30 * SECOND);
    let of = world.members[alice].principal();
    assert!(
        world.members[bob].disk.observed.contains_key(&of),
        "he reads the invite's view"
    );
    assert_eq!(told_reach(&world, bob, alice), None);
}

#[test]
fn who_was_removed_is_let_follow_no_more() {
    let (mut world, alice, bob) = alice_and_bob(227);
    assert!(followed_at(&world, bob, alice) > 0);
    // He is not told, so that he goes on asking.
    world.faults.lost_requests = 100;
    world
        .call(
            alice,
            Command::RemoveContact {
                contact: "bob".to_owned(),
            },
        )
        .unwrap();
    world.run_for(MINUTE);
    assert_eq!(followed_at(&world, bob, alice), 0);
    assert!(world.members[alice].served.is_empty(), "nobody holds the view");
}

#[test]
fn others_relays_are_tried_when_ones_own_are_gone_and_left_when_they_are_back() {
    let mut world = World::new(228);
    let alice = world.join_silently("alice");
    let bob = world.join_silently("bob");
    let relay = |world: &World, n: usize| world.relays[n].address.clone();
    world.members[alice].config.seed_peers = vec![relay(&world, 1), relay(&world, 2)];
    world.members[bob].config.seed_peers = vec![relay(&world, 0)];
    for who in [alice, bob] {
        world.boot(who);
    }
    world.run_for(5 * SECOND);
    world.meet(alice, bob);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "open");
    let others = |world: &World| -> usize {
        let relays = [1, 2].map(|n| world.relays[n].address.node);
        relays
            .iter()
            .filter(|node| world.members[bob].followed.contains_key(node))
            .count()
    };
    assert_eq!(others(&world), 0);
    world.relay_goes(0);
    world.run_for(5 * SECOND);
    assert_eq!(others(&world), 0, "his own may be back in a moment");
    world.run_for(30 * SECOND);
    assert_eq!(others(&world), 2);
    world.set(alice, Status::Busy, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
    world.relay_comes(0);
    world.run_for(30 * SECOND);
    assert_eq!(others(&world), 0);
    world.set(alice, Status::Away, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "away");
}

#[test]
fn relays_that_do_not_answer_are_tried_a_few_at_once_and_less_and_less_often() {
    let mut world = World::with_network(229, "test", 8);
    let relays: Vec<_> = world.relays.iter().map(|relay| relay.address.clone()).collect();
    let bob = world.join_silently("bob");
    world.members[bob].config.seed_peers = vec![relays[0].clone()];
    world.boot(bob);
    world.run_for(5 * SECOND);
    // Each of them is at relays of their own.
    for (n, name) in ["alice", "carol", "dave"].into_iter().enumerate() {
        let who = world.join_silently(name);
        world.members[who].config.seed_peers = relays[1 + 2 * n..3 + 2 * n].to_vec();
        world.boot(who);
        world.run_for(5 * SECOND);
        world.meet(who, bob);
        world.cut(Site::Member(who), [Site::Member(bob)]);
    }
    world.run_for(MINUTE);
    for relay in 0..8 {
        world.relay_goes(relay);
    }
    let began = world.now;
    world.run_for(2 * HOUR);
    let asked = &world.members[bob].follow_asked;
    let of = |node| asked.get(&node).cloned().unwrap_or_default();
    let mut starts: Vec<u64> = Vec::new();
    for relay in &relays[1..7] {
        let times: Vec<u64> = of(relay.node).into_iter().filter(|at| *at > began).collect();
        assert!((5..25).contains(&times.len()), "{} tries in two hours", times.len());
        let last = times.windows(2).last().map(|pair| pair[1] - pair[0]).unwrap();
        assert!((7 * MINUTE..14 * MINUTE).contains(&last), "{last}");
        starts.extend(times);
    }
    starts.sort_unstable();
    // A dial that fails takes ten seconds here: no more than three begin within that time.
    for four in starts.windows(4) {
        assert!(four[3] - four[0] >= 10 * SECOND, "{four:?}");
    }
    assert!(starts.windows(2).any(|two| two[0] != two[1]), "they are spread");
}
