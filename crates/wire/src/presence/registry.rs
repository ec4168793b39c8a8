//! Names with a meaning that everybody agrees on. They are not enforced: what is not here is kept and passed on. Commands
//! use the lists to notice what was mistyped. docs/spec/presence.md has the same lists, and says how they grow.

/// The activity (RFC 4480, 3.2) of one who stepped away.
pub const AWAY: &str = "away";

/// The activity of one who is there and does not want to be disturbed.
pub const BUSY: &str = "busy";

/// Activities: RFC 4480, 3.2.
pub const ACTIVITIES: &[&str] = &[
    "appointment",
    "away",
    "breakfast",
    "busy",
    "dinner",
    "holiday",
    "in-transit",
    "looking-for-work",
    "lunch",
    "meal",
    "meeting",
    "on-the-phone",
    "other",
    "performance",
    "permanent-absence",
    "playing",
    "presentation",
    "shopping",
    "sleeping",
    "spectator",
    "steering",
    "travel",
    "tv",
    "unknown",
    "vacation",
    "working",
    "worship",
];

/// Moods: RFC 4480, 3.5.
pub const MOODS: &[&str] = &[
    "afraid",
    "amazed",
    "angry",
    "annoyed",
    "anxious",
    "ashamed",
    "bored",
    "brave",
    "calm",
    "cold",
    "confused",
    "contented",
    "cranky",
    "curious",
    "depressed",
    "disappointed",
    "disgusted",
    "distracted",
    "embarrassed",
    "excited",
    "flirtatious",
    "frustrated",
    "grumpy",
    "guilty",
    "happy",
    "hot",
    "humbled",
    "humiliated",
    "hungry",
    "hurt",
    "impressed",
    "in_awe",
    "in_love",
    "indignant",
    "interested",
    "invincible",
    "jealous",
    "lonely",
    "mean",
    "moody",
    "nervous",
    "neutral",
    "offended",
    "other",
    "playful",
    "proud",
    "relieved",
    "remorseful",
    "restless",
    "sad",
    "sarcastic",
    "serious",
    "shocked",
    "shy",
    "sick",
    "sleepy",
    "stressed",
    "surprised",
    "thirsty",
    "unknown",
    "worried",
];

/// Kinds of place: RFC 4589, section 3.
pub const PLACES: &[&str] = &[
    "aircraft",
    "airport",
    "arena",
    "automobile",
    "bank",
    "bar",
    "bicycle",
    "bus",
    "bus-station",
    "cafe",
    "classroom",
    "club",
    "construction",
    "convention-center",
    "government",
    "hospital",
    "hotel",
    "industrial",
    "library",
    "motorcycle",
    "office",
    "other",
    "outdoors",
    "parking",
    "place-of-worship",
    "prison",
    "public",
    "public-transport",
    "residence",
    "restaurant",
    "school",
    "shopping-area",
    "stadium",
    "store",
    "street",
    "theater",
    "train",
    "train-station",
    "truck",
    "underway",
    "unknown",
    "warehouse",
    "water",
    "watercraft",
];

/// Contact details: the properties of RFC 6350 that say who somebody is and how to reach them.
pub const DETAILS: &[&str] = &[
    "adr",
    "anniversary",
    "bday",
    "email",
    "fn",
    "gender",
    "geo",
    "impp",
    "key",
    "lang",
    "n",
    "nickname",
    "note",
    "org",
    "photo",
    "role",
    "tel",
    "title",
    "tz",
    "url",
];

/// Whether a name is in a list, or is one's own by its form: names with a dot begin with a domain that whoever made them
/// has, the other way round, as in `org.example.juggling`.
#[must_use]
pub fn is_known(list: &[&str], name: &str) -> bool {
    list.contains(&name) || name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc2779_3_1_5_the_registry_page_has_every_name_and_says_how_to_add_one() {
        let page = include_str!("../../../../docs/spec/presence.md");
        let registry = page.split_once("## Registry").expect("the registry").1;
        for list in [ACTIVITIES, MOODS, PLACES, DETAILS] {
            assert!(list.is_sorted(), "{list:?}");
            for name in list {
                assert!(registry.contains(&format!("`{name}`")), "{name} is not on the page");
            }
        }
        for said in ["name of one's own", "a change of this page", "Statuses"] {
            assert!(registry.contains(said), "the page does not say '{said}'");
        }
    }

    #[test]
    fn the_lists_are_those_of_the_rfcs() {
        // RFC 4480 has 27 activities and 61 moods, RFC 4589 44 kinds of place.
        assert_eq!((ACTIVITIES.len(), MOODS.len(), PLACES.len()), (27, 61, 44));
    }

    #[test]
    fn rfc2779_3_1_5_a_name_of_ones_own_has_a_dot() {
        assert!(is_known(ACTIVITIES, "meal"));
        assert!(is_known(ACTIVITIES, "org.example.juggling"));
        assert!(!is_known(ACTIVITIES, "meel"));
        for list in [ACTIVITIES, MOODS, PLACES, DETAILS] {
            assert!(list.iter().all(|name| !name.contains('.')));
        }
    }
}
