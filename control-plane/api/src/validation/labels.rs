//! Labels and the objects that select by them.

use super::Place;
use crate::field::Errors;
use crate::names;

/// A map of labels.
pub(crate) fn labels(place: &Place<'_>, errors: &mut Errors) {
    for (key, value) in place.entries() {
        for reason in names::qualified_name(key) {
            errors.invalid_as(place, key, reason);
        }
        for reason in names::label_value(value.text()) {
            errors.invalid_as(place, value.text(), reason);
        }
    }
}

/// A `LabelSelector` object, where there is one.
pub(crate) fn label_selector(place: &Place<'_>, errors: &mut Errors) {
    labels(&place.child("matchLabels"), errors);
    for expression in place.child("matchExpressions").items() {
        label_requirement(&expression, errors);
    }
}

fn label_requirement(place: &Place<'_>, errors: &mut Errors) {
    let (key, operator, values) = (place.child("key"), place.child("operator"), place.child("values"));
    match operator.text() {
        "In" | "NotIn" if values.len() == 0 => {
            errors.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if values.len() > 0 => {
            errors.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
    for reason in names::qualified_name(key.text()) {
        errors.invalid_text(&key, reason);
    }
    for value in values.items() {
        errors.reasons(&value, names::label_value(value.text()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::check;

    #[test]
    fn selectors_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"matchLabels": {"app": "web"}}), ""),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
                "matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}),
                "matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or \
                 'DoesNotExist'",
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}),
                "matchExpressions[0].operator: Invalid value: \"Gt\": not a valid selector operator",
            ),
        ];
        for (selector, expected) in table {
            let errors = check(&selector, label_selector);
            let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(text.join("\n"), expected, "{selector}");
        }
    }

    #[test]
    fn a_bad_label_names_the_map_and_shows_the_part() {
        let labels_of = json!({"-a": "b c"});
        let errors = check(&labels_of, labels);
        assert_eq!(errors.len(), 2);
        assert!(errors[0].message.starts_with("Invalid value: \"-a\": name part must consist of"));
        assert!(errors[1].message.starts_with("Invalid value: \"b c\": a valid label must be an empty string or"));
    }
}
