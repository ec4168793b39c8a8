//! What texts in our objects have to look like where a standard says so.

use crate::limits::LANGUAGE_BYTES;

/// Whether `text` is shaped like a language tag (BCP 47, RFC 5646 section 2.1): parts of letters and digits.
#[must_use]
pub(crate) fn is_language_tag(text: &str) -> bool {
    (1..=LANGUAGE_BYTES).contains(&text.len())
        && text
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether `text` is a scheme (RFC 3986 section 3.1), a colon, and something without blanks after it.
#[must_use]
pub(crate) fn is_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && rest.chars().all(|c| !c.is_control() && !c.is_whitespace())
}

/// Whether `text` is a type, a slash and a subtype (RFC 6838 section 4.2), and perhaps parameters.
#[must_use]
pub(crate) fn is_media_type(text: &str) -> bool {
    let name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '!' | '#' | '$' | '&' | '-' | '^' | '_' | '.' | '+'))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    name(kind) && name(subtype) && text.chars().all(|c| (' '..='~').contains(&c))
}

/// Whether `text` is the name of a header: letters, digits, and what joins them.
#[must_use]
pub(crate) fn is_header_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_standards_say_is_checked() {
        for good in ["en", "de-AT", "zh-Hant-TW"] {
            assert!(is_language_tag(good), "{good}");
        }
        for bad in ["", "en_US", "-", "a-toolongpart"] {
            assert!(!is_language_tag(bad), "{bad}");
        }
        for good in ["im:alice@example.org", "tel:+4312345", "x-own+1.2:a"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "alice", ":x", "1m:x", "im:", "im:a b", "im:a\u{7}"] {
            assert!(!is_address(bad), "{bad}");
        }
        for good in ["text/plain", "text/plain; charset=utf-8", "application/vnd.x+json"] {
            assert!(is_media_type(good), "{good}");
        }
        for bad in [
            "",
            "text",
            "/plain",
            "text/",
            "te xt/plain",
            "text/plain; a=\u{e9}",
            "text/plain\n",
        ] {
            assert!(!is_media_type(bad), "{bad}");
        }
        assert!(is_header_name("X-Priority") && !is_header_name("") && !is_header_name("a b") && !is_header_name("a:"));
    }
}
