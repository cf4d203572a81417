//! `$(VAR)` in values, commands and arguments.
//!
//! The rules are those of `k8s.io/kubernetes/third_party/forked/golang/expansion`: `$$` stands for a dollar sign, a
//! reference without its closing parenthesis stands for itself, and any other dollar sign too. Text that a variable
//! brings in is not expanded again.

use std::borrow::Cow;

/// What a dollar sign turned out to begin; `rest` is what follows it.
enum Token<'a> {
    Reference { name: &'a str, rest: &'a str },
    Dollar { rest: &'a str },
}

/// Replaces references to variables that `value` knows; others stay as they are written.
#[must_use]
pub fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let kept = |name: &str| value(name).map_or_else(|| Cow::Owned(format!("$({name})")), Cow::Borrowed);
    match replace(text, |name| Ok::<_, std::convert::Infallible>(kept(name))) {
        Ok(expanded) => expanded,
        Err(never) => match never {},
    }
}

/// As [`expand`], where each variable must be known: for paths (`subPathExpr`).
///
/// # Errors
/// The first name that `value` does not know.
pub fn expand_strictly<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> Result<String, String> {
    replace(text, |name| value(name).map(Cow::Borrowed).ok_or_else(|| name.to_owned()))
}

fn replace<'a, E>(text: &str, value: impl Fn(&str) -> Result<Cow<'a, str>, E>) -> Result<String, E> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = match token(after) {
            Token::Reference { name, rest } => {
                expanded.push_str(&value(name)?);
                rest
            }
            Token::Dollar { rest } => {
                expanded.push('$');
                rest
            }
        };
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn token(after: &str) -> Token<'_> {
    if let Some(rest) = after.strip_prefix('$') {
        return Token::Dollar { rest };
    }
    match after.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
        Some((name, rest)) => Token::Reference { name, rest },
        None => Token::Dollar { rest: after },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The table of Kubernetes' own test, and more.
    #[test]
    fn references_are_replaced() {
        let known =
            BTreeMap::from([("VAR_A", "A"), ("VAR_B", "B"), ("VAR_C", "C"), ("VAR_REF", "$(VAR_A)"), ("E", "")]);
        let table = [
            ("", ""),
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("___$(VAR_C)", "___C"),
            ("$(VAR_A)-$(VAR_A)", "A-A"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("x$(E)y", "xy"),
            ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("foo\\$(VAR_C)bar", "foo\\Cbar"),
            ("$$(VAR_A)", "$(VAR_A)"),
            ("$$$(VAR_A)", "$A"),
            ("$$$$$$$(VAR_A)", "$$$A"),
            ("foo$$(VAR_A)$$(VAR_B)", "foo$(VAR_A)$(VAR_B)"),
            ("f000-$VAR_A", "f000-$VAR_A"),
            ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
            ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
            ("f00__(VAR_A)__", "f00__(VAR_A)__"),
            ("$?_boo_$!", "$?_boo_$!"),
            ("$VAR_A", "$VAR_A"),
            ("$(VAR_DNE_$(VAR_A)", "$(VAR_DNE_$(VAR_A)"),
            ("$()", "$()"),
            ("$", "$"),
            ("$$", "$"),
            ("a$", "a$"),
            ("$(", "$("),
            ("$($(VAR_A)", "$($(VAR_A)"),
            ("$(VAR_A", "$(VAR_A"),
            ("ä$(VAR_A)ö$", "äAö$"),
        ];
        for (text, expected) in table {
            assert_eq!(expand(text, |name| known.get(name).copied()), expected, "{text}");
        }
    }

    #[test]
    fn a_path_needs_every_variable() {
        let known = |name: &str| (name == "A").then_some("a");
        assert_eq!(expand_strictly("logs/$(A)/$$", known), Ok("logs/a/$".to_owned()));
        assert_eq!(expand_strictly("logs/$(B)", known), Err("B".to_owned()));
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_sign_is_itself(text in "[^$]{0,50}") {
            prop_assert_eq!(expand(&text, |_| Some("x")), text);
        }

        #[test]
        fn any_text_expands_and_doubled_dollar_signs_protect_it(text in "[$()a-c ]{0,30}") {
            let _ = expand(&text, |name| (name == "a").then_some("$(b)"));
            let protected = text.replace('$', "$$");
            prop_assert_eq!(expand(&protected, |_| Some("x")), text);
        }

        #[test]
        fn values_are_not_expanded_again(value in "[$()a-c]{0,20}") {
            prop_assert_eq!(expand("<$(a)>", |_| Some(value.as_str())), format!("<{value}>"));
        }

        /// Against the algorithm of the original, byte by byte.
        #[test]
        fn the_result_is_that_of_the_original(text in "[$()ab]{0,24}") {
            let value = |name: &str| (name == "a").then_some("VALUE");
            prop_assert_eq!(expand(&text, value), by_cursor(&text, value));
        }
    }

    /// The original's shape: a cursor that copies from a checkpoint. ASCII only.
    fn by_cursor(text: &str, value: impl Fn(&str) -> Option<&'static str>) -> String {
        let (bytes, mut out, mut checkpoint, mut cursor) = (text.as_bytes(), String::new(), 0, 0);
        while cursor < bytes.len() {
            if bytes[cursor] == b'$' && cursor + 1 < bytes.len() {
                out.push_str(&text[checkpoint..cursor]);
                let rest = &text[cursor + 1..];
                let (read, advance) = match rest.as_bytes()[0] {
                    b'$' => ("$".to_owned(), 1),
                    b'(' => match rest.find(')') {
                        Some(end) => {
                            let name = &rest[1..end];
                            (value(name).map_or_else(|| format!("$({name})"), str::to_owned), end + 1)
                        }
                        None => ("$(".to_owned(), 1),
                    },
                    other => (format!("${}", char::from(other)), 1),
                };
                out.push_str(&read);
                cursor += advance;
                checkpoint = cursor + 1;
            }
            cursor += 1;
        }
        out.push_str(text.get(checkpoint..).unwrap_or_default());
        out
    }
}
