//! What may be a name.

use crate::DeskError;

/// Longest name of a user, bytes.
const LONGEST: usize = 128;
/// Longest free text, such as what a token is for, characters.
const LABEL: usize = 100;

/// The name of a user in the one form in which it is kept: lower case. Letters, digits and `. _ @ + -` of ASCII, so that no two names
/// look alike, beginning with a letter or digit.
pub(crate) fn user(text: &str) -> Result<String, DeskError> {
    let bad = |why| Err(DeskError::BadName(text.chars().take(LONGEST).collect(), why));
    if text.is_empty() || text.len() > LONGEST {
        return bad("names have 1 to 128 characters");
    }
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '+' | '-')) {
        return bad("names are made of letters, digits and . _ @ + -");
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return bad("names begin with a letter or a digit");
    }
    Ok(text.to_ascii_lowercase())
}

/// A free text that will be shown: not empty, no control characters.
pub(crate) fn label(text: &str) -> Result<&str, DeskError> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= LABEL && !text.chars().any(char::is_control);
    if fits {
        Ok(text)
    } else {
        Err(DeskError::BadName(text.chars().take(LABEL).collect(), "1 to 100 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_and_odd_ones_refused() {
        assert_eq!(user("Ana@Example.org").unwrap(), "ana@example.org");
        for odd in ["", "-rf", "a b", "a\0", "аdmin", "x'; drop table desk_user; --", "a\n", &"x".repeat(129)]
        {
            assert!(user(odd).is_err(), "{odd:?}");
        }
        assert!(label("  nightly export ").is_ok_and(|l| l == "nightly export"));
        assert!(label("a\u{0}b").is_err() && label(" ").is_err());
    }
}
