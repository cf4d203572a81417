//! The options of a write that name its field manager.

use sheave_api::field::{Cause, FieldError, Path};

/// Characters that the name of a field manager may have.
const MAX_MANAGER_LENGTH: usize = 128;

/// Everything that is wrong with `fieldManager` and `force` of a patch; `is_apply` is whether its content type is
/// an apply patch. The server answers 422 for `PatchOptions.meta.k8s.io`.
#[must_use]
pub fn validate(field_manager: &str, force: Option<bool>, is_apply: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if is_apply && field_manager.is_empty() {
        errors.push(error("fieldManager", Cause::Required, "Required value: is required for apply patch".to_owned()));
    }
    if !is_apply && force.is_some() {
        let message = "Forbidden: may not be specified for non-apply patch".to_owned();
        errors.push(error("force", Cause::Forbidden, message));
    }
    errors.extend(validate_manager(field_manager));
    errors
}

/// Everything that is wrong with the name of a field manager, empty or not; of every kind of write.
#[must_use]
pub fn validate_manager(field_manager: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if field_manager.len() > MAX_MANAGER_LENGTH {
        let message = format!("Too long: may not be more than {MAX_MANAGER_LENGTH} bytes");
        errors.push(error("fieldManager", Cause::TooLong, message));
    }
    for (position, character) in field_manager.char_indices().filter(|(_, character)| !is_printable(*character)) {
        let message = format!(
            "Invalid value: {field_manager:?}: invalid character U+{:04X} (at position {position})",
            u32::from(character)
        );
        errors.push(error("fieldManager", Cause::Invalid, message));
    }
    errors
}

/// The name under which a write is entered: the `fieldManager` of the request or, where it has none, its user agent
/// up to the first `/`, unprintable characters left out, cut to the allowed length.
#[must_use]
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    let product = user_agent.split('/').next().unwrap_or_default();
    for character in product.chars().filter(|character| is_printable(*character)) {
        if name.len() + character.len_utf8() > MAX_MANAGER_LENGTH {
            break;
        }
        name.push(character);
    }
    name
}

fn error(field: &str, cause: Cause, message: String) -> FieldError {
    FieldError { path: Path::new(field), cause, message }
}

/// As Go's `unicode.IsPrint`, near enough: the only space is U+0020, no control characters.
fn is_printable(character: char) -> bool {
    character == ' ' || !(character.is_control() || character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(errors: Vec<FieldError>) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_apply_needs_a_manager_and_nothing_else_takes_force() {
        assert_eq!(said(validate("", None, true)), ["fieldManager: Required value: is required for apply patch"]);
        assert_eq!(
            said(validate("", Some(true), false)),
            ["force: Forbidden: may not be specified for non-apply patch"]
        );
        assert!(validate("kubectl", Some(true), true).is_empty());
        assert!(validate("", None, false).is_empty());
    }

    #[test]
    fn a_manager_is_printable_and_at_most_128_bytes_long() {
        assert_eq!(
            said(validate_manager("a\nb")),
            ["fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)"]
        );
        assert_eq!(
            said(validate_manager(&"x".repeat(129))),
            ["fieldManager: Too long: may not be more than 128 bytes"]
        );
    }

    #[test]
    fn without_a_manager_the_user_agent_names_the_writer() {
        assert_eq!(manager_name("", "kubectl/v1.32.5 (linux/amd64)"), "kubectl");
        assert_eq!(manager_name("helm", "Go-http-client/1.1"), "helm");
        assert_eq!(manager_name("", &"é".repeat(100)), "é".repeat(64));
    }
}
