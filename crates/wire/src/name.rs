//! Names that people give themselves, as far as others have to put up with them.

use crate::ids::PrincipalId;
use crate::limits::NAME_CHARACTERS;

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a name of 1 to {NAME_CHARACTERS} characters without control or direction marks, and no id, got {0:?}"
)]
pub struct NameError(String);

/// Names have 1 to [`NAME_CHARACTERS`] characters, none of them a control character or one that turns the writing
/// direction around (so that no name can disguise what stands beside it), and no blank at either end. A principal id is none.
///
/// # Errors
///
/// If `name` is none.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let fits = (1..=NAME_CHARACTERS).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || is_direction_mark(c))
        // Who calls himself by somebody's id would be taken for them.
        && name.parse::<PrincipalId>().is_err();
    if fits {
        Ok(())
    } else {
        Err(NameError(name.chars().take(NAME_CHARACTERS).collect()))
    }
}

/// Characters that change the direction of writing or show nothing: they have no place in a line that is shown to others.
#[must_use]
pub const fn is_direction_mark(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{061c}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["alice", "Ünal Ö.", "李雷", "a"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", " alice", "a\nb", "a\u{202e}b", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
