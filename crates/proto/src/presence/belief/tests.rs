use super::*;
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::keys::RootKey;
use porchlight_wire::presence::{PresenceDocument, PresenceTuple};
use proptest::prelude::*;

/// Somewhere in the middle, so that everything can lie before and after it.
const MIDDLE: u64 = 1_790_000_000_000;

const HOUR: u64 = 3_600_000;

fn principal() -> PrincipalId {
    RootKey::from_seed(&[1; 32]).principal()
}

fn state(basic: Basic, issued: UnixMillis, lease: u64) -> PresenceState {
    PresenceState {
        issued,
        lease,
        ended: false,
        document: PresenceDocument::new(principal(), vec![PresenceTuple::new("self", basic)]),
        reach: None,
    }
}

fn record(state: &PresenceState, received: Received) -> Record<'_> {
    let source = match received {
        Received::Live(_) => Source::Gossip,
        Received::Late => Source::Dht,
    };
    Record {
        state,
        sequence: 7,
        source,
        received,
    }
}

fn clock(instant: u64, unix: u64) -> Clock {
    Clock {
        instant: Instant(instant),
        unix: UnixMillis(unix),
    }
}

/// Any record, however it came, and any clock: hours around the middle, leases from a moment to a day.
fn anything() -> impl Strategy<Value = (PresenceState, Received, bool, Clock)> {
    let basic = prop_oneof![4 => Just(Basic::Open), 1 => Just(Basic::Closed)];
    let lease = prop_oneof![Just(1), Just(90_000), 1..24 * HOUR];
    let received = prop_oneof![
        Just(Received::Late),
        (0..3 * HOUR).prop_map(|at| Received::Live(Instant(at))),
    ];
    let around = || prop_oneof![MIDDLE - HOUR..MIDDLE + HOUR, MIDDLE - 200_000..MIDDLE + 200_000];
    (basic, around(), lease, received, any::<bool>(), 0..4 * HOUR, around()).prop_map(
        |(basic, issued, lease, received, live, instant, unix)| {
            let state = state(basic, UnixMillis(issued), lease);
            (state, received, live, clock(instant, unix))
        },
    )
}

fn later(clock: Clock, millis: u64) -> Clock {
    Clock {
        instant: clock.instant.plus(millis),
        unix: clock.unix.plus(millis),
    }
}

#[test]
fn the_lines_of_the_table_in_their_order() {
    let open = state(Basic::Open, UnixMillis(MIDDLE), 90_000);
    let closed = state(Basic::Closed, UnixMillis(MIDDLE), 90_000);
    let live = Received::Live(Instant(0));
    let now = |millis| clock(millis, MIDDLE + millis);
    let verdict = |state, received, source, clock| belief(Some(&record(state, received)), source, clock).verdict;

    assert_eq!(belief(None, true, now(0)).verdict, Verdict::UnknownNoRecord);
    assert_eq!(belief(None, false, now(0)).verdict, Verdict::UnknownNoRecord);
    assert_eq!(verdict(&open, live, false, now(0)), Verdict::UnknownNoSource);
    assert_eq!(verdict(&closed, live, false, now(0)), Verdict::UnknownNoSource);
    assert_eq!(verdict(&closed, live, true, now(HOUR)), Verdict::Closed);
    assert_eq!(verdict(&open, live, true, now(89_999)), Verdict::AsRecorded);
    assert_eq!(verdict(&open, live, true, now(90_000)), Verdict::ClosedLapsed);
    assert_eq!(verdict(&open, Received::Late, true, now(90_000)), Verdict::ClosedLapsed);
}

#[test]
fn a_lease_runs_from_the_first_receipt_and_the_wall_clock_bounds_it() {
    let open = state(Basic::Open, UnixMillis(MIDDLE), 90_000);
    let verdict = |received, clock| belief(Some(&record(&open, received)), true, clock).verdict;
    // Our wall clock is 20 s ahead of theirs: it held at the receipt, and so it holds for the whole lease.
    assert_eq!(
        verdict(Received::Live(Instant(0)), clock(89_999, MIDDLE + 109_999)),
        Verdict::AsRecorded
    );
    // A record that was under way for a minute holds for a minute less 30 s of tolerance.
    let late = |millis| verdict(Received::Live(Instant(0)), clock(millis, MIDDLE + 60_000 + millis));
    assert_eq!(
        (late(59_999), late(60_000)),
        (Verdict::AsRecorded, Verdict::ClosedLapsed)
    );
    // One that was looked up holds by the wall clocks alone.
    assert_eq!(verdict(Received::Late, clock(0, MIDDLE + 89_999)), Verdict::AsRecorded);
    assert_eq!(
        verdict(Received::Late, clock(0, MIDDLE + 90_000)),
        Verdict::ClosedLapsed
    );
    // From 30 s ahead on, nothing is believed.
    assert_eq!(
        verdict(Received::Live(Instant(0)), clock(0, MIDDLE - 30_000)),
        Verdict::AsRecorded
    );
    assert_eq!(
        verdict(Received::Live(Instant(0)), clock(0, MIDDLE - 30_001)),
        Verdict::UnknownClock
    );
}

#[test]
fn the_last_record_of_a_view_says_nothing_of_the_presentity() {
    let now = UnixMillis(1_790_000_000_000);
    let mut last = state(Basic::Closed, now, 90_000);
    last.ended = true;
    let clock = Clock {
        instant: Instant(1_000),
        unix: now,
    };
    let told = belief(Some(&record(&last, Received::Live(clock.instant))), true, clock);
    assert_eq!(told.verdict, Verdict::UnknownViewEnded);
    assert_eq!((told.document, told.holds_until), (None, None));
}

proptest! {
    #[test]
    fn open_is_never_told_after_the_lease_nor_without_a_source((state, received, live, clock) in anything()) {
        let told = belief(Some(&record(&state, received)), live, clock);
        if told.verdict == Verdict::AsRecorded {
            prop_assert!(live);
            prop_assert!(state.issued.0 <= clock.unix.0 + CLOCK_TOLERANCE);
            match received {
                Received::Late => prop_assert!(clock.unix < state.issued.plus(state.lease)),
                Received::Live(first) => {
                    prop_assert!(clock.instant < first.plus(state.lease));
                    prop_assert!(clock.unix < state.issued.plus(state.lease + CLOCK_TOLERANCE));
                }
            }
            prop_assert!(told.holds_until.is_some_and(|until| until > clock.unix));
        }
    }

    #[test]
    fn what_is_shown_is_the_record_or_nothing((state, received, live, clock) in anything()) {
        let told = belief(Some(&record(&state, received)), live, clock);
        let known = matches!(told.verdict, Verdict::Closed | Verdict::ClosedLapsed | Verdict::AsRecorded);
        prop_assert_eq!(told.document, known.then(|| state.document.clone()));
        prop_assert_eq!((told.sequence, told.issued), (Some(7), Some(state.issued)));
        prop_assert_eq!(told.verdict == Verdict::UnknownNoSource, !live);
        if told.verdict == Verdict::Closed {
            prop_assert_eq!(state.document.basic(), Basic::Closed);
        }
    }

    #[test]
    fn time_alone_never_makes_it_open_again(
        (state, received, live, clock) in anything(),
        first in 0..2 * HOUR,
        second in 0..2 * HOUR,
    ) {
        let record = record(&state, received);
        let at = |millis| belief(Some(&record), live, later(clock, millis)).verdict;
        let (before, after) = (at(first), at(first + second));
        match before {
            Verdict::AsRecorded => prop_assert!(matches!(after, Verdict::AsRecorded | Verdict::ClosedLapsed)),
            // What was from the future comes true, for no longer than its lease.
            Verdict::UnknownClock => {}
            Verdict::Closed | Verdict::ClosedLapsed | Verdict::UnknownNoSource => prop_assert_eq!(after, before),
            Verdict::UnknownViewEnded => prop_assert!(false, "none of these says so"),
            Verdict::UnknownNoRecord => prop_assert!(false, "there is a record"),
        }
    }

    #[test]
    fn a_verdict_holds_exactly_until_it_says(
        (state, received, live, clock) in anything(),
        within in 0.0..1.0_f64,
    ) {
        let record = record(&state, received);
        let told = belief(Some(&record), live, clock);
        match told.holds_until {
            Some(until) => {
                let left = until.since(clock.unix);
                prop_assert!(left > 0);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let before = ((left - 1) as f64 * within) as u64;
                prop_assert_eq!(belief(Some(&record), live, later(clock, before)).verdict, told.verdict);
                prop_assert_ne!(belief(Some(&record), live, later(clock, left)).verdict, told.verdict);
            }
            None => prop_assert_eq!(belief(Some(&record), live, later(clock, 30 * HOUR)).verdict, told.verdict),
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_lengthen_a_lease(
        (state, received, live, clock) in anything(),
        back in 0..HOUR,
    ) {
        if let Received::Live(first) = received {
            let over = Clock { instant: first.plus(state.lease), unix: UnixMillis(clock.unix.0 - back) };
            prop_assert_ne!(belief(Some(&record(&state, received)), live, over).verdict, Verdict::AsRecorded);
        }
    }
}
