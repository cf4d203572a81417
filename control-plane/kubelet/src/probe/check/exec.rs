//! A program in the container: it is well when the program ends with 0.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ExecAction;

use super::{MOST_OUTPUT, Target};
use crate::environment::expand;
use crate::probe::verdict::Outcome;
use crate::probe::{Exec, ExecError};

pub(super) async fn check(exec: &dyn Exec, action: &ExecAction, target: &Target<'_>, timeout: Duration) -> Outcome {
    let command = command(action, target);
    let shown = command.join(" ");
    match exec.exec(target.id, command, timeout).await {
        Ok(executed) if executed.exit_code == 0 => Outcome::Pass,
        Ok(executed) => {
            let output = executed.output.get(..MOST_OUTPUT).unwrap_or(&executed.output);
            Outcome::Fail(String::from_utf8_lossy(output).into_owned())
        }
        Err(ExecError::TimedOut) => {
            Outcome::Fail(format!("command timed out: \"{shown}\" timed out after {}s", timeout.as_secs()))
        }
        Err(ExecError::Runtime(message)) => Outcome::Unknown(message),
    }
}

/// The command with references to the container's plain variables replaced; those with sources are not looked up.
fn command(action: &ExecAction, target: &Target<'_>) -> Vec<String> {
    let variables = target.container.env.iter().flatten();
    let known: HashMap<&str, &str> =
        variables.filter_map(|variable| Some((variable.name.as_str(), variable.value.as_deref()?))).collect();
    action.command.iter().flatten().map(|word| expand(word, |name| known.get(name).copied())).collect()
}
