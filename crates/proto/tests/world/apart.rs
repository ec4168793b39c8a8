//! Presence and messages apart (RFC 2779 2.1.1 and 2.1.2): a node that does one of the two, an inbox without a presentity, and
//! a presentity whose tuple names somebody else's inbox.

use crate::messages::new_message;
use crate::{Command, CommandError, DAY, Event, HOUR, MINUTE, Reply, SECOND, Status, SubscriptionState, Who, World};
use porchlight_proto::event::Verdict;
use porchlight_proto::input::NewPresence;
use porchlight_proto::messaging::rows::MessageState;
use porchlight_proto::rows::OwnTuple;
use porchlight_wire::blind::Kind;
use porchlight_wire::presence::ContactAddress;

impl World {
    /// Restarts a node with presence switched on or off.
    fn switch_presence(&mut self, who: Who, on: bool) {
        self.stop(who);
        self.members[who].config.presence = on;
        self.boot(who);
        self.run_for(MINUTE);
    }

    /// Records of presence that this member's node ever let out.
    fn presence_records(&self, who: Who) -> usize {
        let records = self.members[who].records.values();
        records.filter(|record| record.kind() == Kind::Presence).count()
    }

    /// Contacts made by an invite for this view.
    fn meet_by(&mut self, inviter: Who, newcomer: Who, view: &str) {
        let command = Command::CreateInvite {
            uses: 1,
            expires_in: HOUR,
            view: view.to_owned(),
        };
        let Ok(Reply::Invite { uri, .. }) = self.call(inviter, command) else {
            panic!("no invite");
        };
        self.run_for(SECOND);
        self.add(newcomer, &uri).unwrap();
        self.run_for(MINUTE);
    }

    /// What watchers a member is told that they have.
    fn watchers(&mut self, who: Who) -> Vec<String> {
        let Ok(Reply::Watchers(watchers)) = self.call(who, Command::ListWatchers) else {
            panic!("no watchers");
        };
        watchers.into_iter().map(|watcher| watcher.contact).collect()
    }

    fn say_to_each_other(&mut self, one: Who, other: Who, text: &str) {
        for (from, to) in [(one, other), (other, one)] {
            let id = self.write(from, to, text);
            self.run_for(MINUTE);
            assert_eq!(self.read(to, from).last().map(String::as_str), Some(text));
            assert_eq!(self.state(from, id), MessageState::Delivered);
        }
    }
}

#[test]
fn rfc2779_2_1_1_messages_go_on_where_presence_is_switched_off() {
    let mut world = World::new(51);
    let alice = world.join("alice");
    let bob = world.join_silently("bob");
    world.members[bob].config.presence = false;
    world.boot(bob);
    world.run_for(3 * SECOND);
    // Whichever of the two invites the other, they become contacts who can write to each other.
    let invite = world.invite(alice, 1);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    let carol = world.join("carol");
    let invite = world.invite(bob, 1);
    world.add(carol, &invite).unwrap();
    world.run_for(MINUTE);
    world.say_to_each_other(alice, bob, "hello");
    world.say_to_each_other(carol, bob, "hello");
    // He tells nothing, and is told nothing.
    world.set(alice, Status::Busy, None);
    world.run_for(DAY);
    assert_eq!(
        world.presence_records(bob),
        0,
        "no record of his presence ever left his node"
    );
    assert!(world.members[bob].disk.observed.is_empty() && world.members[bob].shown.is_empty());
    let presences = world.members[bob].history.iter();
    let presences = presences.filter(|row| matches!(row.event, Event::PresenceChanged { .. }));
    assert_eq!(presences.count(), 0);
    for who in [alice, carol] {
        assert_eq!(world.told(who, bob).told.verdict, Verdict::UnknownNoRecord);
        let fetched = world.fetch(who, bob);
        assert!(matches!(fetched, Err(CommandError::ShowsNothing { .. })), "{fetched:?}");
        let bob = world.members[bob].principal();
        assert_eq!(world.subscription(who, &bob), Some(SubscriptionState::Refused));
    }
    assert_eq!(world.watchers(bob), [""; 0]);
    let contact = "alice".to_owned();
    for command in [
        Command::SetPresence(Box::new(NewPresence::status(Status::Away, Vec::new()))),
        Command::Fetch {
            contact: contact.clone(),
        },
        Command::Subscribe {
            contact: contact.clone(),
        },
        Command::Poll { contact, every: HOUR },
    ] {
        let refused = world.call(bob, command);
        assert!(matches!(refused, Err(CommandError::PresenceOff)), "{refused:?}");
    }
}

#[test]
fn rfc2779_2_1_1_presence_is_switched_off_and_on_again_and_messages_go_on_all_the_while() {
    let mut world = World::new(52);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.say_to_each_other(alice, bob, "one");
    world.switch_presence(bob, false);
    let before = world.presence_records(bob);
    let principal = world.members[bob].principal();
    assert_eq!(world.subscription(alice, &principal), Some(SubscriptionState::Refused));
    assert!(!crate::is_open(&world.told(alice, bob).told));
    world.say_to_each_other(alice, bob, "two");
    world.set(alice, Status::Away, None);
    world.run_for(2 * HOUR);
    assert_eq!(world.presence_records(bob), before);
    world.switch_presence(bob, true);
    world.set(bob, Status::Busy, None);
    world.run_for(MINUTE);
    assert_eq!(world.sees(alice, bob), "busy");
    assert_eq!(world.sees(bob, alice), "away");
    world.say_to_each_other(alice, bob, "three");
}

#[test]
fn rfc2779_2_1_1_who_is_public_is_so_no_longer_where_presence_is_switched_off() {
    let mut world = World::new(53);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let public = Command::CreateView {
        name: "public".to_owned(),
        projection: porchlight_proto::rows::Projection::Full,
        rights: [
            porchlight_wire::grant::Right::Fetch,
            porchlight_wire::grant::Right::Subscribe,
        ]
        .into(),
        reach: None,
    };
    world.call(alice, public).unwrap();
    world.run_for(MINUTE);
    assert!(world.fetch(bob, alice).is_ok());
    world.switch_presence(alice, false);
    let fetched = world.fetch(bob, alice);
    assert!(fetched.is_err(), "{fetched:?}");
    world.switch_presence(alice, true);
    assert!(world.fetch(bob, alice).is_ok());
}

#[test]
fn rfc2779_2_1_2_an_inbox_can_be_had_without_a_presentity() {
    let mut world = World::new(54);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet_by(alice, bob, "none");
    world.say_to_each_other(alice, bob, "hello");
    // She is a presentity for nobody; he is one for her.
    world.set(alice, Status::Busy, Some("not for bob"));
    world.set(bob, Status::Away, None);
    world.run_for(DAY);
    assert_eq!(
        world.presence_records(alice),
        0,
        "neither a view of hers nor a temporary one was ever published"
    );
    assert_eq!(world.sees(alice, bob), "away");
    assert_eq!(world.told(bob, alice).told.verdict, Verdict::UnknownNoRecord);
    let fetched = world.fetch(bob, alice);
    assert!(matches!(fetched, Err(CommandError::ShowsNothing { .. })), "{fetched:?}");
    let subscribed = world.call(
        bob,
        Command::Subscribe {
            contact: "alice".to_owned(),
        },
    );
    assert!(
        matches!(subscribed, Err(CommandError::ShowsNothing { .. })),
        "{subscribed:?}"
    );
    assert_eq!(world.watchers(alice), [""; 0]);
    let shown = world.contacts(alice);
    assert_eq!(shown[0].view, None);
    let Ok(Reply::Grants(grants)) = world.call(alice, Command::ListGrants) else {
        panic!("no grants");
    };
    assert_eq!(grants.iter().map(|grant| grant.rights.len()).collect::<Vec<_>>(), [0]);
    // Granted one later, he is notified, as he wanted to be; and then no more.
    let update = |view: &str| Command::UpdateContact {
        contact: "bob".to_owned(),
        name: None,
        view: Some(view.to_owned()),
    };
    world.call(alice, update("contacts")).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "busy");
    assert_eq!(world.watchers(alice), ["bob"]);
    world.call(alice, update("none")).unwrap();
    world.set(alice, Status::Open, Some("not for bob, again"));
    world.run_for(MINUTE);
    assert!(!crate::is_open(&world.told(bob, alice).told));
    assert!(world.fetch(bob, alice).is_err());
    world.say_to_each_other(alice, bob, "still here");
}

#[test]
fn rfc2779_2_1_2_who_adds_somebody_may_show_them_nothing() {
    let mut world = World::new(55);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    let add = Command::AddContact {
        invite,
        name: None,
        view: "none".to_owned(),
    };
    world.call(bob, add).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "open");
    assert!(world.fetch(alice, bob).is_err());
    assert_eq!(world.presence_records(bob), 0);
    world.say_to_each_other(alice, bob, "hello");
}

#[test]
fn rfc2779_2_1_2_a_tuple_names_another_principals_inbox_and_whoever_sees_it_writes_there() {
    let mut world = World::new(56);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    world.meet(alice, bob);
    world.meet(carol, bob);
    let inbox = format!("im:{}", world.members[carol].principal());
    let tuple = OwnTuple {
        id: "secretary".to_owned(),
        basic: None,
        contact: Some(ContactAddress {
            uri: inbox.clone(),
            priority: None,
        }),
        notes: Vec::new(),
    };
    let new = NewPresence {
        tuples: Some(vec![tuple]),
        ..NewPresence::status(Status::Busy, Vec::new())
    };
    world.call(alice, Command::SetPresence(Box::new(new))).unwrap();
    world.run_for(5 * SECOND);
    let document = world.told(bob, alice).told.document.unwrap();
    let addresses: Vec<&str> = document
        .tuples
        .iter()
        .filter_map(|tuple| Some(tuple.contact.as_ref()?.uri.as_str()))
        .collect();
    assert_eq!(addresses, [inbox.as_str()]);
    world.write_as(bob, new_message(addresses[0], "is she free?")).unwrap();
    world.run_for(5 * SECOND);
    assert_eq!(world.read(carol, bob), ["is she free?"]);
    assert_eq!(world.read(alice, bob), [""; 0]);
    // Whoever does not know the one behind the address is told so.
    let dave = world.join("dave");
    let refused = world.write_as(dave, new_message(&inbox, "?"));
    assert!(matches!(refused, Err(CommandError::NotFound { .. })), "{refused:?}");
}
