//! The network in the API: who is connected, and why a contact cannot be seen or reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// The words that some texts are made of, for the schemas.
const STEP: [&str; 14] = [
    "contact",
    "letters",
    "messages",
    "relays",
    "seed_peers",
    "own_relays",
    "source",
    "clock",
    "own_card",
    "record",
    "card",
    "dial",
    "their_relays",
    "told",
];
const OUTCOME: [&str; 3] = ["ok", "failed", "skipped"];
const CONCLUSION: [&str; 21] = [
    "not_a_contact",
    "introduction_refused",
    "ended_by_them",
    "not_subscribed",
    "cut_off",
    "wrong_seed_peer",
    "clock_off",
    "not_answered",
    "nothing_granted",
    "view_replaced",
    "reachable",
    "seen_not_reached",
    "not_answering",
    "messages_refused",
    "away",
    "no_source",
    "lookups_unanswered",
    "silent",
    "lapsed",
    "record_nowhere",
    "not_looked",
];
const DIRECTION: [&str; 2] = ["in", "out"];

objects! {
    /// The reply to `net.peers`.
    PeerList {
        /// Connected nodes.
        peers: Vec<Peer>,
    }
    /// A connected node.
    Peer {
        /// Its id.
        node: String,
        /// Its end of the connection.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        address: Option<String>,
        /// Whether it is a relay.
        relay: bool,
        /// Whether it is a configured seed peer.
        seed: bool,
        /// The petname of the contact whose node it is.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        contact: Option<String>,
        /// `in` or `out`: who dialled.
        #[schemars(extend("enum" = DIRECTION))]
        direction: String,
        /// The last round trip.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rtt_ms: Option<f64>,
        /// Since when.
        connected_for_ms: u64,
        /// Whether it follows what it may see of this node's presence at this node itself.
        #[serde(default)]
        follows: bool,
    }
    /// The parameters of `net.diagnose`.
    #[serde(deny_unknown_fields)]
    NetDiagnose {
        /// Which contact: petname or principal's id.
        contact: String,
        /// How many steps were seen already: the reply comes as soon as there are more of them. If not given, it comes when all is
        /// done.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        seen: Option<u32>,
    }
    /// The reply to `net.diagnose`.
    Diagnosis {
        /// The petname; as asked for, if there is no such contact.
        contact: String,
        /// Who; not given if there is no such contact.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        principal: Option<String>,
        /// When it began.
        started_at: String,
        /// For how long it has gone on.
        took_ms: u64,
        /// What was looked at so far, in order.
        steps: Vec<DiagnosisStep>,
        /// What follows; not given while steps are still to come.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        conclusion: Option<Conclusion>,
    }
    /// One thing that was looked at in a diagnosis.
    DiagnosisStep {
        /// What.
        #[schemars(extend("enum" = STEP))]
        step: String,
        /// `ok`, `failed`, or `skipped`: there was nothing to try, or no need.
        #[schemars(extend("enum" = OUTCOME))]
        outcome: String,
        /// What was tried, for people.
        tried: String,
        /// What came, for people.
        found: String,
        /// How long it took.
        took_ms: u64,
    }
    /// What follows from a diagnosis.
    Conclusion {
        /// What it is; stays the same between versions.
        #[schemars(extend("enum" = CONCLUSION))]
        kind: String,
        /// Whether the contact is shown as they say they are, so that nothing has to be mended.
        ok: bool,
        /// What it means.
        message: String,
        /// What to do.
        hint: String,
        /// What else should be known, for people: of messages that wait or were refused, and of relays that do not answer.
        #[serde(default)]
        also: Vec<String>,
    }
}
