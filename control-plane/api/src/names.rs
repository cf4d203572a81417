//! The forms that names, keys and values must have, in the words of `k8s.io/apimachinery/pkg/util/validation`.
//!
//! Each check returns what is wrong with a text, one sentence per rule; nothing where it is well-formed.

use std::sync::LazyLock;

use regex::Regex;

/// The bytes that a DNS label may have (RFC 1123 section 2.1).
pub const LABEL_LENGTH: usize = 63;

/// The bytes that a DNS subdomain may have.
pub const SUBDOMAIN_LENGTH: usize = 253;

const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY_RULE: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// A rule that a text keeps or breaks as a whole.
struct Form {
    expression: Regex,
    /// The rule, the expression and examples, as one sentence.
    sentence: String,
}

impl Form {
    fn new(rule: &str, expression: &str, examples: &[&str]) -> Self {
        let sentence = regex_sentence(rule, expression, examples);
        #[expect(clippy::expect_used, reason = "the expressions are constants of this file; a test compiles each")]
        let expression = Regex::new(&format!("^(?:{expression})$")).expect("a constant expression compiles");
        Self { expression, sentence }
    }

    fn check(&self, text: &str) -> Option<String> {
        (!self.expression.is_match(text)).then(|| self.sentence.clone())
    }
}

macro_rules! form {
    ($name:ident, $rule:expr, $expression:expr, $examples:expr) => {
        static $name: LazyLock<Form> = LazyLock::new(|| Form::new($rule, $expression, &$examples));
    };
}

form!(
    LABEL,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with \
     an alphanumeric character",
    "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    ["my-name", "123-abc"]
);
form!(
    SUBDOMAIN,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
     end with an alphanumeric character",
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    ["example.com"]
);
form!(
    SUBDOMAIN_WITH_UNDERSCORE,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start \
     and end with an alphanumeric character",
    r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
    ["example.com"]
);
form!(
    DNS_1035,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and \
     end with an alphanumeric character",
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    ["my-name", "abc-123"]
);
form!(
    WILDCARD,
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower \
     case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    ["*.example.com"]
);
form!(KEY_NAME, LABEL_KEY_RULE, LABEL_KEY, ["MyName", "my.name", "123-abc"]);
form!(
    LABEL_VALUE,
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and \
     end with an alphanumeric character",
    "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
    ["MyValue", "my_value", "12345"]
);
form!(
    C_IDENTIFIER,
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters \
     or '_'",
    "[A-Za-z_][A-Za-z0-9_]*",
    ["my_name", "MY_NAME", "MyName"]
);
form!(
    CONFIG_KEY,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "[-._a-zA-Z0-9]+",
    ["key.name", "KEY_NAME", "key-name"]
);
form!(
    HTTP_HEADER,
    "a valid HTTP header must consist of alphanumeric characters or '-'",
    "[-A-Za-z0-9]+",
    ["X-Header-Name"]
);
form!(HTTP_PATH, "Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", [""; 0]);
form!(PERCENT, "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", ["1%", "93%"]);

/// A rule with its expression and examples: `must ... (e.g. 'a',  or 'b', regex used for validation is '...')`.
#[must_use]
pub fn regex_sentence(rule: &str, expression: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{rule} (regex used for validation is '{expression}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{rule} (e.g. {}regex used for validation is '{expression}')", examples.join(" or "))
}

/// `must be no more than N characters`
#[must_use]
pub fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

/// `must be between LOW and HIGH, inclusive`
#[must_use]
pub fn out_of_range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// A DNS label (RFC 1123): names of namespaces, containers, volumes.
#[must_use]
pub fn dns_label(text: &str) -> Vec<String> {
    let mut reasons = longer_than(text, LABEL_LENGTH);
    if let Some(sentence) = LABEL.check(text) {
        // Well-formed but for its dots: say just that.
        let only_dots = SUBDOMAIN.expression.is_match(text);
        reasons.push(if only_dots { "must not contain dots".to_owned() } else { sentence });
    }
    reasons
}

/// A DNS subdomain (RFC 1123): names of most objects.
#[must_use]
pub fn dns_subdomain(text: &str) -> Vec<String> {
    with_length(text, SUBDOMAIN_LENGTH, &SUBDOMAIN)
}

/// A DNS subdomain whose labels may begin with an underscore, as those of SRV records do.
#[must_use]
pub fn dns_subdomain_with_underscore(text: &str) -> Vec<String> {
    with_length(text, SUBDOMAIN_LENGTH, &SUBDOMAIN_WITH_UNDERSCORE)
}

/// A DNS label that begins with a letter (RFC 1035): formerly names of services.
#[must_use]
pub fn dns_1035_label(text: &str) -> Vec<String> {
    with_length(text, LABEL_LENGTH, &DNS_1035)
}

/// A DNS subdomain below `*.`.
#[must_use]
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    with_length(text, SUBDOMAIN_LENGTH, &WILDCARD)
}

/// A qualified name: keys of labels and annotations, names of resources, finalizers.
#[must_use]
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                KEY_NAME.sentence
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                reasons.push("prefix part must be non-empty".to_owned());
            } else {
                reasons.extend(dns_subdomain(prefix).into_iter().map(|reason| format!("prefix part {reason}")));
            }
            name
        }
    };
    if name.is_empty() {
        reasons.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LENGTH {
        reasons.push(format!("name part must be no more than {LABEL_LENGTH} bytes"));
    }
    reasons.extend(KEY_NAME.check(name).map(|reason| format!("name part {reason}")));
    reasons
}

/// The value of a label.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if text.len() > LABEL_LENGTH {
        reasons.push(format!("must be no more than {LABEL_LENGTH} bytes"));
    }
    reasons.extend(LABEL_VALUE.check(text));
    reasons
}

/// An identifier of the C language.
#[must_use]
pub fn c_identifier(text: &str) -> Vec<String> {
    C_IDENTIFIER.check(text).into_iter().collect()
}

/// The name of an environment variable: printable ASCII without `=`.
#[must_use]
pub fn env_var_name(text: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if text.is_empty() {
        reasons.push("environment variable name must be non-empty".to_owned());
    }
    if !text.chars().all(|character| matches!(character, ' '..='~') && character != '=') {
        let rule = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        reasons.push(rule.to_owned());
    }
    reasons
}

/// A key of a `ConfigMap` or `Secret`; it is also the name of a file.
#[must_use]
pub fn config_key(text: &str) -> Vec<String> {
    let mut reasons = with_length(text, SUBDOMAIN_LENGTH, &CONFIG_KEY);
    match text {
        "." => reasons.push("must not be '.'".to_owned()),
        ".." => reasons.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => reasons.push("must not start with '..'".to_owned()),
        _ => {}
    }
    reasons
}

/// The name of a port of a container (RFC 6335 service names, lower case).
#[must_use]
pub fn port_name(text: &str) -> Vec<String> {
    let mut reasons = longer_than(text, 15);
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(allowed) {
        reasons.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        reasons.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        reasons.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        reasons.push("must not begin or end with a hyphen".to_owned());
    }
    reasons
}

/// A port number.
#[must_use]
pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65_535)
}

/// A number between `low` and `high`.
#[must_use]
pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) { Vec::new() } else { vec![out_of_range(low, high)] }
}

/// A user or group number of Linux.
#[must_use]
pub fn id_number(value: i64) -> Vec<String> {
    in_range(value, 0, i64::from(i32::MAX))
}

/// The name of an HTTP header.
#[must_use]
pub fn http_header(text: &str) -> Vec<String> {
    HTTP_HEADER.check(text).into_iter().collect()
}

/// The characters of a path of HTTP (RFC 3986).
#[must_use]
pub fn http_path(text: &str) -> Vec<String> {
    HTTP_PATH.check(text).into_iter().collect()
}

/// Digits followed by `%`.
#[must_use]
pub fn percent(text: &str) -> Vec<String> {
    PERCENT.check(text).into_iter().collect()
}

/// A name that can stand in a path: RBAC roles.
#[must_use]
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    let found = ["/", "%"].into_iter().filter(|part| text.contains(part));
    found.map(|part| format!("may not contain '{part}'")).collect()
}

/// Checks `name` as a prefix to which a random suffix is added, so a dash may end it.
#[must_use]
pub fn as_prefix(name: &str, check: fn(&str) -> Vec<String>) -> Vec<String> {
    match name.strip_suffix('-') {
        // Kubernetes puts one character in place of the last two.
        Some(stem) if !stem.is_empty() => {
            let end = stem.char_indices().last().map_or(0, |(index, _)| index);
            check(&format!("{}a", &stem[..end]))
        }
        _ => check(name),
    }
}

fn longer_than(text: &str, limit: usize) -> Vec<String> {
    if text.len() > limit { vec![too_long(limit)] } else { Vec::new() }
}

fn with_length(text: &str, limit: usize, form: &Form) -> Vec<String> {
    let mut reasons = longer_than(text, limit);
    reasons.extend(form.check(text));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_table(check: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(check(text).is_empty(), "{text:?} is well-formed, but: {:?}", check(text));
        }
        for text in bad {
            assert!(!check(text).is_empty(), "{text:?} is not well-formed");
        }
    }

    #[test]
    fn each_form_takes_what_kubernetes_takes() {
        let long = "a".repeat(64);
        check_table(dns_label, &["a", "a-b", "0", "123-abc"], &["", "A", "-a", "a-", "a.b", "a_b", &long, "a\n"]);
        check_table(dns_subdomain, &["a.b", "a-1.b-2", "1"], &["", "a..b", ".a", "a.", "A.b", &"a.".repeat(150)]);
        check_table(dns_1035_label, &["a", "abc-1"], &["1a", "", "a."]);
        check_table(qualified_name, &["a", "A_b.c-D", "a.b/c"], &["", "/a", "a/", "a/b/c", "-a", "A.b/c", &long]);
        check_table(label_value, &["", "a", "A_b.c-1"], &["-a", "a-", "a b", "é", &long]);
        check_table(env_var_name, &["A", "my.env-name", "1", "a b"], &["", "A=B", "é", "a\n"]);
        check_table(config_key, &["a", ".auth", "Key.pem", "a..b"], &["", ".", "..", "..a", "a b", "a/b"]);
        check_table(port_name, &["http", "web-1"], &["", "80", "Http", "a--b", "-a", "a-", "sixteen-letters-"]);
        check_table(wildcard_subdomain, &["*.a.b"], &["a.b", "*", "*.", "a.*.b"]);
        check_table(path_segment, &["system:node", "a b"], &[".", "..", "a/b", "a%b"]);
        check_table(c_identifier, &["_a1"], &["1a", "a-b"]);
        check_table(http_header, &["X-A"], &["", "X_A"]);
        check_table(percent, &["0%", "100%"], &["%", "1", "-1%"]);
    }

    #[test]
    fn refusals_are_in_kubernetes_words() {
        assert_eq!(
            dns_subdomain("Foo"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
              start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            dns_label("my_name"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
              end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert_eq!(qualified_name("/x"), ["prefix part must be non-empty"]);
        assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
    }

    #[test]
    fn a_prefix_may_end_with_a_dash() {
        assert!(as_prefix("web-", dns_subdomain).is_empty());
        assert!(as_prefix("web", dns_subdomain).is_empty());
        assert!(!as_prefix("Web-", dns_subdomain).is_empty());
        assert!(!as_prefix("-", dns_subdomain).is_empty());
        assert!(!as_prefix("éé-", dns_subdomain).is_empty());
    }
}
