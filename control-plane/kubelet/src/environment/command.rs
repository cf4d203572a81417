//! What a container runs.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Container;

use super::expand::expand;

/// What CRI is told to run. Empty parts are the image's: its entry point for the command and its CMD for the arguments;
/// a command without arguments replaces both, which is the runtime's to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Replaces the image's entry point.
    pub command: Vec<String>,
    /// Replaces the image's CMD.
    pub args: Vec<String>,
}

/// The container's command and arguments, with references to its variables replaced.
#[must_use]
pub fn command_line(container: &Container, variables: &[(String, String)]) -> CommandLine {
    let known: HashMap<&str, &str> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expanded = |words: &Option<Vec<String>>| {
        let words = words.iter().flatten();
        words.map(|word| expand(word, |name| known.get(name).copied())).collect()
    };
    CommandLine { command: expanded(&container.command), args: expanded(&container.args) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_spec_names_replaces_the_images_and_references_are_expanded() {
        let table = [
            (json!({}), vec![], vec![]),
            (json!({"args": ["--port=$(PORT)", "$(X)"]}), vec![], vec!["--port=80", "$(X)"]),
            (json!({"command": ["sh", "-c", "echo $$(PORT) $PORT"]}), vec!["sh", "-c", "echo $(PORT) $PORT"], vec![]),
            (json!({"command": ["a"], "args": ["b"]}), vec!["a"], vec!["b"]),
        ];
        for (mut fields, command, args) in table {
            fields["name"] = json!("c");
            let container: Container = serde_json::from_value(fields).unwrap();
            let made = command_line(&container, &[("PORT".into(), "80".into())]);
            assert_eq!(made.command, command);
            assert_eq!(made.args, args);
        }
    }
}
