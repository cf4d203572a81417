//! Field selectors: `metadata.name=web,status.phase!=Running`.

use std::fmt;

/// Terms that an object must all meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One comparison of a field with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field's label, such as `metadata.name`.
    pub field: String,
    /// Whether the field must have the value (true) or must not have it.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// Why a text is no field selector, or not one for a kind; the words are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole text.
        selector: String,
        /// The part of it.
        term: String,
    },
    /// A backslash before a character that needs none, or at the end.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A comma or an equals sign in a value without a backslash.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
    /// The kind cannot be selected by this field.
    #[error("field label not supported: {0}")]
    Unsupported(String),
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Reads the text of a `fieldSelector` parameter; an empty one selects everything.
    ///
    /// # Errors
    /// When a term has no operator or a value is wrongly escaped.
    pub fn parse(selector: &str) -> Result<Self, FieldSelectorError> {
        let mut terms = Vec::new();
        for term in split_terms(selector).into_iter().filter(|term| !term.is_empty()) {
            let unclear = || FieldSelectorError::Term { selector: selector.to_owned(), term: term.to_owned() };
            let (field, equal, value) = split_term(term).ok_or_else(unclear)?;
            terms.push(FieldTerm { field: field.to_owned(), equal, value: unescape(value)? });
        }
        terms.sort_by(|left, right| left.field.cmp(&right.field));
        Ok(Self { terms })
    }

    /// The terms, ordered by field.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `field` must have, where one is required: a request for one object need not read all.
    #[must_use]
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Refuses the selector unless `is_known` knows each field.
    ///
    /// # Errors
    /// For the first field that is not known.
    pub fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), FieldSelectorError> {
        match self.terms.iter().find(|term| !is_known(&term.field)) {
            Some(term) => Err(FieldSelectorError::Unsupported(term.field.clone())),
            None => Ok(()),
        }
    }

    /// Whether an object is selected whose fields have the values that `value_of` gives.
    #[must_use]
    pub fn matches(&self, value_of: impl Fn(&str) -> String) -> bool {
        self.terms.iter().all(|term| (value_of(&term.field) == term.value) == term.equal)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{separator}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

/// `value` with a backslash before each character that would end it.
#[must_use]
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The parts between commas that have no backslash before them.
fn split_terms(selector: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, character) in selector.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&selector[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms
}

/// Field, operator and value of a term, split at the first operator.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let (index, _) = term.char_indices().find(|(index, _)| {
        let rest = &term[*index..];
        rest.starts_with("!=") || rest.starts_with('=')
    })?;
    let (field, rest) = term.split_at(index);
    let operators = [("!=", false), ("==", true), ("=", true)];
    operators.into_iter().find_map(|(operator, equal)| Some((field, equal, rest.strip_prefix(operator)?)))
}

fn unescape(value: &str) -> Result<String, FieldSelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return Err(FieldSelectorError::Escape(format!("\\{other}"))),
                None => return Err(FieldSelectorError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(character)),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value_of(field: &str) -> String {
        match field {
            "metadata.name" => "web".to_owned(),
            "status.phase" => "Running".to_owned(),
            "odd" => "a,b=c\\".to_owned(),
            _ => String::new(),
        }
    }

    #[test]
    fn terms_select_by_equality() {
        let table = [
            ("", true),
            ("metadata.name=web", true),
            ("metadata.name==web", true),
            ("metadata.name!=web", false),
            ("metadata.name=web,status.phase!=Running", false),
            ("metadata.name=web,status.phase=Running", true),
            ("spec.nodeName=", true),
            ("spec.nodeName!=", false),
            (",metadata.name=web,", true),
            (r"odd=a\,b\=c\\", true),
        ];
        for (text, expected) in table {
            let selector = FieldSelector::parse(text).unwrap();
            assert_eq!(selector.matches(value_of), expected, "{text}");
        }
    }

    #[test]
    fn malformed_selectors_are_refused_in_kubernetes_words() {
        let table = [
            ("name", "invalid selector: 'name'; can't understand 'name'"),
            ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
            (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
        ];
        for (text, expected) in table {
            assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_field_that_the_kind_does_not_know_is_refused() {
        let selector = FieldSelector::parse("metadata.name=a,spec.color=red").unwrap();
        assert_eq!(
            selector.check(|field| field == "metadata.name").unwrap_err().to_string(),
            "field label not supported: spec.color"
        );
        assert_eq!(selector.required("metadata.name"), Some("a"));
        assert_eq!(FieldSelector::parse("metadata.name!=a").unwrap().required("metadata.name"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,60}|[a=!,\\\\.]{0,30}") {
            if let Ok(selector) = FieldSelector::parse(&text) {
                let again = FieldSelector::parse(&selector.to_string());
                // A field may be anything up to the first operator; one that is empty or escaped does not survive.
                if selector.terms().iter().all(|term| !term.field.is_empty() && !term.field.contains('\\')) {
                    prop_assert_eq!(again, Ok(selector));
                }
            }
        }
    }
}
