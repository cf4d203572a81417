//! Label selectors: the text form `a=b,c in (x,y),!d` and the `LabelSelector` object.
//!
//! Grammar and refusals are those of `k8s.io/apimachinery/pkg/labels`:
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = [ "!" ] KEY | KEY ( "=" | "==" | "!=" | ">" | "<" ) [ VALUE ] | KEY ( "in" | "notin" ) "(" values ")"
//! values      = [ VALUE ] { "," [ VALUE ] }
//! ```

// Long because the grammar, its errors and its matching are one subject.

use std::collections::BTreeSet;
use std::fmt;

use crate::Document;
use crate::field::{FieldError, Path};
use crate::names;
use crate::view::View;

/// Requirements that the labels of an object must all meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    /// Selects nothing at all, which no requirement can say.
    nothing: bool,
}

/// One rule for the label of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// How a label is compared with the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `key=value`
    Equals,
    /// `key==value`
    DoubleEquals,
    /// `key!=value`, met also without the label
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`, met also without the label
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>5`
    GreaterThan,
    /// `key<5`
    LessThan,
}

/// Why a text or an object is no label selector; the words are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelSelectorError {
    /// The text does not follow the grammar outside a requirement.
    #[error("{0}")]
    Selector(String),
    /// The text does not follow the grammar inside a requirement, or a key or value is malformed.
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    /// A requirement of an object is malformed.
    #[error("{0}")]
    Object(String),
}

/// A piece of the text; keywords are told from values by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Open,
    Close,
    Comma,
    Not,
    Compare(Operator, &'a str),
    End,
}

struct Parser<'a> {
    rest: &'a str,
}

const EXPECTED_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

// === impl LabelSelector ===

impl LabelSelector {
    /// Selects every object.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects no object.
    #[must_use]
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Reads the text of a `labelSelector` parameter; an empty one selects everything.
    ///
    /// # Errors
    /// When the text does not follow the grammar, or a key or value is malformed.
    pub fn parse(text: &str) -> Result<Self, LabelSelectorError> {
        let mut requirements = Vec::new();
        let mut parser = Parser { rest: text };
        loop {
            match parser.peek() {
                Token::Word(_) | Token::Not => requirements.push(parser.requirement()?),
                Token::End => break,
                other => {
                    let found = other.literal();
                    let message = format!("found '{found}', expected: !, identifier, or 'end of string'");
                    return Err(LabelSelectorError::Selector(message));
                }
            }
            if !parser.separator()? {
                break;
            }
        }
        Ok(Self::of_requirements(requirements))
    }

    /// The selector that a `LabelSelector` object (`matchLabels`, `matchExpressions`) stands for: an absent one selects
    /// nothing, an empty one everything.
    ///
    /// # Errors
    /// When a requirement is malformed.
    pub fn from_object(object: &Document) -> Result<Self, LabelSelectorError> {
        if !object.is_object() {
            return Ok(Self::nothing());
        }
        let as_error = |error: FieldError| LabelSelectorError::Object(error.to_string());
        let mut requirements = Vec::new();
        for (key, value) in object.text_map("matchLabels") {
            let values = BTreeSet::from([value.to_owned()]);
            requirements.push(Requirement::new(key, Operator::Equals, values).map_err(as_error)?);
        }
        for expression in object.list("matchExpressions") {
            let name = expression.text("operator");
            let unknown = || {
                let message = format!("{} is not a valid label selector operator", crate::field::quote(name));
                LabelSelectorError::Object(message)
            };
            let operator = Operator::of_object(name).ok_or_else(unknown)?;
            let values = expression.texts("values").map(str::to_owned).collect();
            requirements.push(Requirement::new(expression.text("key"), operator, values).map_err(as_error)?);
        }
        Ok(Self::of_requirements(requirements))
    }

    /// The selector of a plain map, as in a Service: every label must have its value; an empty map selects everything.
    #[must_use]
    pub fn from_map(map: &Document) -> Self {
        let requirement = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::Equals,
            values: BTreeSet::from([value.to_owned()]),
        };
        let selector = serde_json::json!({ "map": map });
        Self::of_requirements(selector.text_map("map").map(requirement).collect())
    }

    fn of_requirements(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Self { requirements, nothing: false }
    }

    /// The requirements, ordered by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether an object is selected whose labels have the values that `value_of` gives.
    #[must_use]
    pub fn matches_with<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(value_of(&requirement.key)))
    }

    /// Whether an object with these labels (a map of texts) is selected.
    #[must_use]
    pub fn matches(&self, labels: &Document) -> bool {
        self.matches_with(|key| labels.get(key).and_then(Document::as_str))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

// === impl Requirement ===

impl Requirement {
    /// A rule, checked for the number and the form of its values.
    ///
    /// # Errors
    /// For the first thing that is wrong with it.
    pub fn new(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Self, FieldError> {
        let path = Path::new("values");
        let reasons = names::qualified_name(key);
        if !reasons.is_empty() {
            return Err(FieldError::invalid(&Path::new("key"), key, reasons.join("; ")));
        }
        if let Some(reason) = operator.wrong_count(values.len()) {
            return Err(FieldError::invalid(&path, Vec::from_iter(values), reason));
        }
        for (index, value) in values.iter().enumerate() {
            if operator.compares_numbers() && value.parse::<i64>().is_err() {
                let reason = "for 'Gt', 'Lt' operators, the value must be an integer";
                return Err(FieldError::invalid(&path.index(index), value.as_str(), reason));
            }
            let reasons = names::label_value(value);
            if !reasons.is_empty() {
                let path = path.index(index).key(key);
                return Err(FieldError::invalid(&path, value.as_str(), reasons.join("; ")));
            }
        }
        Ok(Self { key: key.to_owned(), operator, values })
    }

    /// The label's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How its value is compared.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values to compare with.
    #[must_use]
    pub fn values(&self) -> &BTreeSet<String> {
        &self.values
    }

    /// Whether a label with this value (none: no such label) meets it.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => {
                value.is_some_and(|value| self.values.contains(value))
            }
            Operator::NotEquals | Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value, |value, bound| value > bound),
            Operator::LessThan => self.compare(value, |value, bound| value < bound),
        }
    }

    fn compare(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let value = value.and_then(|value| value.parse().ok());
        let bound = self.values.first().and_then(|bound| bound.parse().ok());
        value.zip(bound).is_some_and(|(value, bound)| holds(value, bound))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::Exists => f.write_str(&self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
            Operator::In | Operator::NotIn => write!(f, "{} {} ({values})", self.key, self.operator.symbol()),
            Operator::Equals
            | Operator::DoubleEquals
            | Operator::NotEquals
            | Operator::GreaterThan
            | Operator::LessThan => write!(f, "{}{}{values}", self.key, self.operator.symbol()),
        }
    }
}

// === impl Operator ===

impl Operator {
    fn symbol(self) -> &'static str {
        match self {
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Exists => "",
            Self::DoesNotExist => "!",
            Self::GreaterThan => ">",
            Self::LessThan => "<",
        }
    }

    /// The operator that a `matchExpressions` entry names.
    fn of_object(name: &str) -> Option<Self> {
        match name {
            "In" => Some(Self::In),
            "NotIn" => Some(Self::NotIn),
            "Exists" => Some(Self::Exists),
            "DoesNotExist" => Some(Self::DoesNotExist),
            _ => None,
        }
    }

    fn compares_numbers(self) -> bool {
        matches!(self, Self::GreaterThan | Self::LessThan)
    }

    fn wrong_count(self, count: usize) -> Option<&'static str> {
        match self {
            Self::In | Self::NotIn if count == 0 => Some("for 'in', 'notin' operators, values set can't be empty"),
            Self::Equals | Self::DoubleEquals | Self::NotEquals if count != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Self::Exists | Self::DoesNotExist if count != 0 => {
                Some("values set must be empty for exists and does not exist")
            }
            Self::GreaterThan | Self::LessThan if count != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        }
    }
}

// === impl Token ===

impl<'a> Token<'a> {
    fn literal(self) -> &'a str {
        match self {
            Self::Word(text) | Self::Compare(_, text) => text,
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Not => "!",
            Self::End => "",
        }
    }

    /// The operator that it is after a key, where `in` and `notin` are words.
    fn as_operator(self) -> Option<Operator> {
        match self {
            Self::Compare(operator, _) => Some(operator),
            Self::Word("in") => Some(Operator::In),
            Self::Word("notin") => Some(Operator::NotIn),
            Self::Word(_) | Self::Open | Self::Close | Self::Comma | Self::Not | Self::End => None,
        }
    }
}

// === impl Parser ===

impl<'a> Parser<'a> {
    /// The next token and what follows it.
    fn lex(&self) -> (Token<'a>, &'a str) {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let simple = [
            ("==", Token::Compare(Operator::DoubleEquals, "==")),
            ("=", Token::Compare(Operator::Equals, "=")),
            ("!=", Token::Compare(Operator::NotEquals, "!=")),
            ("!", Token::Not),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
            (">", Token::Compare(Operator::GreaterThan, ">")),
            ("<", Token::Compare(Operator::LessThan, "<")),
        ];
        for (text, token) in simple {
            if let Some(after) = rest.strip_prefix(text) {
                return (token, after);
            }
        }
        let is_end = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<' | ' ' | '\t' | '\r' | '\n');
        let end = rest.find(is_end).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() { (Token::End, "") } else { (Token::Word(word), after) }
    }

    fn peek(&self) -> Token<'a> {
        self.lex().0
    }

    fn take(&mut self) -> Token<'a> {
        let (token, rest) = self.lex();
        self.rest = rest;
        token
    }

    /// Passes the comma between requirements; false at the end of the text.
    fn separator(&mut self) -> Result<bool, LabelSelectorError> {
        match self.take() {
            Token::End => Ok(false),
            Token::Comma => match self.peek() {
                Token::Word(_) | Token::Not => Ok(true),
                other => {
                    let message = format!("found '{}', expected: identifier after ','", other.literal());
                    Err(LabelSelectorError::Selector(message))
                }
            },
            other => {
                let message = format!("found '{}', expected: ',' or 'end of string'", other.literal());
                Err(LabelSelectorError::Selector(message))
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, LabelSelectorError> {
        let negated = self.peek() == Token::Not;
        if negated {
            self.take();
        }
        let key = match self.take() {
            Token::Word(key) => key,
            other => return Err(unexpected(other, "identifier")),
        };
        let reasons = names::qualified_name(key);
        if !reasons.is_empty() {
            let error = FieldError::invalid(&Path::new("<nil>"), key, reasons.join("; "));
            return Err(LabelSelectorError::Requirement(error.to_string()));
        }
        let (operator, values) = match self.peek() {
            Token::End | Token::Comma if negated => (Operator::DoesNotExist, BTreeSet::new()),
            Token::End | Token::Comma => (Operator::Exists, BTreeSet::new()),
            _ => self.restriction()?,
        };
        let as_error = |error: FieldError| LabelSelectorError::Requirement(error.to_string());
        Requirement::new(key, operator, values).map_err(as_error)
    }

    fn restriction(&mut self) -> Result<(Operator, BTreeSet<String>), LabelSelectorError> {
        let token = self.take();
        let operator = token.as_operator().ok_or_else(|| unexpected(token, EXPECTED_OPERATORS))?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Ok((operator, values))
    }

    fn exact_value(&mut self) -> Result<String, LabelSelectorError> {
        match self.peek() {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Word(value) => {
                self.take();
                Ok(value.to_owned())
            }
            other => Err(unexpected(other, "identifier")),
        }
    }

    /// The values between parentheses; an empty place between commas is the empty value.
    fn values(&mut self) -> Result<BTreeSet<String>, LabelSelectorError> {
        match self.take() {
            Token::Open => {}
            other => {
                let message = format!("found '{}' expected: '('", other.literal());
                return Err(LabelSelectorError::Requirement(message));
            }
        }
        let mut values = BTreeSet::new();
        loop {
            let value = match self.peek() {
                Token::Word(value) => {
                    self.take();
                    value
                }
                Token::Comma | Token::Close => "",
                other if values.is_empty() => return Err(unexpected(other, "',', ')' or identifier")),
                other => return Err(unexpected(other, "',', or identifier")),
            };
            values.insert(value.to_owned());
            match self.take() {
                Token::Comma => {}
                Token::Close => return Ok(values),
                other => return Err(unexpected(other, "',' or ')'")),
            }
        }
    }
}

fn unexpected(token: Token<'_>, expected: &str) -> LabelSelectorError {
    LabelSelectorError::Requirement(format!("found '{}', expected: {expected}", token.literal()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_whole_grammar_selects() {
        let labels = json!({"app": "web", "env": "prod", "ver": "2", "empty": "", "in": "x"});
        let table = [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web , env != dev", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("app in (web,api)", true),
            ("app in (api)", false),
            ("app notin (api, db)", true),
            ("missing notin (a)", true),
            ("app", true),
            ("!app", false),
            ("!missing", true),
            ("ver>1", true),
            ("ver > 2", false),
            ("ver<10", true),
            ("env>1", false),
            ("empty=", true),
            ("empty=,app=web", true),
            ("empty in ()", true),
            ("empty in (,a)", true),
            ("app in (a,)", false),
            ("in=x", true),
            ("in in (in,x)", true),
            ("app=in", false),
            ("app,!canary,ver=2", true),
        ];
        for (text, expected) in table {
            let selector = LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn malformed_selectors_are_refused_in_kubernetes_words() {
        let table = [
            ("=web", "found '=', expected: !, identifier, or 'end of string'"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("!a=b", "unable to parse requirement: "),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
            ("a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators"),
            ("a=-b", "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be"),
            ("-a=b", "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a!", "unable to parse requirement: found '!', expected: in, notin, ="),
        ];
        for (text, expected) in table {
            match LabelSelector::parse(text) {
                Err(error) => assert!(error.to_string().starts_with(expected), "{text}: {error}"),
                // Kubernetes takes a negation before an exact match and ignores it.
                Ok(_) => assert_eq!(text, "!a=b"),
            }
        }
    }

    #[test]
    fn objects_select_like_their_text() {
        let labels = json!({"app": "web", "tier": "front"});
        let table = [
            (json!(null), false),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "api"}}), false),
            (json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}), false),
            (json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), false),
        ];
        for (object, expected) in table {
            assert_eq!(LabelSelector::from_object(&object).unwrap().matches(&labels), expected, "{object}");
        }
        let unknown = json!({"matchExpressions": [{"key": "tier", "operator": "Gt", "values": ["1"]}]});
        assert_eq!(
            LabelSelector::from_object(&unknown).unwrap_err().to_string(),
            "\"Gt\" is not a valid label selector operator"
        );
        assert!(LabelSelector::from_map(&json!({"app": "web"})).matches(&labels));
    }

    #[test]
    fn a_selector_is_written_in_order_of_keys() {
        let selector = LabelSelector::parse("z, y in (b,a), !x, w!=1, v>3").unwrap();
        assert_eq!(selector.to_string(), "v>3,w!=1,!x,y in (a,b),z");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,60}|[a-c=!<>(), in]{0,40}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
