//! The verbs: each checks all that the runtime said, then asks the agent, then answers.

use std::ffi::OsString;

use crate::agent::{AskError, ask};
use crate::answer;
use crate::configuration::Configuration;
use crate::environment::{Environment, Verb};
use crate::error::{CniError, Code};
use crate::namespace;
use crate::protocol::{AnswerOutcome, Request};
use crate::version::CniVersion;

/// Runs the verb that the environment names; gives what goes to standard output.
pub(crate) fn run(variable: impl Fn(&str) -> Option<OsString>, input: &[u8]) -> Result<String, CniError> {
    let environment = Environment::new(variable);
    match environment.verb()? {
        Verb::Version => version(input),
        Verb::Add => add(&environment, &Configuration::parse(input)?),
        Verb::Del => del(&environment, &Configuration::parse(input)?),
        Verb::Check => check(&environment, &Configuration::parse(input)?),
        Verb::Gc => gc(Configuration::parse(input)?),
        Verb::Status => status(&Configuration::parse(input)?),
    }
}

fn version(input: &[u8]) -> Result<String, CniError> {
    let asked = match serde_json::from_slice::<serde_json::Value>(input) {
        Ok(_) => crate::configuration::version_of(input).unwrap_or_default(),
        Err(error) => {
            return Err(CniError::new(Code::Decode, format!("cannot read the version on standard input: {error}")));
        }
    };
    Ok(answer::versions(asked).to_string())
}

fn add(
    environment: &Environment<impl Fn(&str) -> Option<OsString>>,
    configuration: &Configuration,
) -> Result<String, CniError> {
    let attachment = environment.attachment(&configuration.name)?;
    let path = environment.namespace()?;
    let pod = environment.pod()?;
    let file = namespace::open(&path)?;
    let namespace = path.display().to_string();
    let request = Request::Add { attachment, namespace: namespace.clone(), pod };
    match ask(&configuration.socket, request, Some(&file)) {
        Ok(AnswerOutcome::Attached(attached)) => Ok(answer::result(configuration, &namespace, &attached).to_string()),
        other => Err(refusal(other)),
    }
}

/// Without an agent there is nothing to undo here: the veth pair goes with the container's namespace, and the agent
/// finds out what is gone when it starts.
fn del(
    environment: &Environment<impl Fn(&str) -> Option<OsString>>,
    configuration: &Configuration,
) -> Result<String, CniError> {
    let attachment = environment.attachment(&configuration.name)?;
    match ask(&configuration.socket, Request::Del { attachment }, None) {
        Ok(AnswerOutcome::Done) | Err(AskError::Away { .. }) => Ok(String::new()),
        other => Err(refusal(other)),
    }
}

fn check(
    environment: &Environment<impl Fn(&str) -> Option<OsString>>,
    configuration: &Configuration,
) -> Result<String, CniError> {
    configuration.must_have("CHECK", CniVersion::V0_4_0)?;
    let attachment = environment.attachment(&configuration.name)?;
    let path = environment.namespace()?;
    let Some(previous) = &configuration.previous else {
        let message = "the configuration has no `prevResult`: CHECK compares with the result of ADD";
        return Err(CniError::new(Code::InvalidConfiguration, message));
    };
    let Some(addresses) = previous.addresses_of(&attachment.interface)? else {
        let message = format!("`prevResult` has no interface {} in a container", attachment.interface);
        return Err(CniError::new(Code::InvalidConfiguration, message));
    };
    let file = namespace::open(&path)?;
    match ask(&configuration.socket, Request::Check { attachment, addresses }, Some(&file)) {
        Ok(AnswerOutcome::Done) => Ok(String::new()),
        other => Err(refusal(other)),
    }
}

fn gc(configuration: Configuration) -> Result<String, CniError> {
    configuration.must_have("GC", CniVersion::V1_1_0)?;
    // To take a missing list for an empty one would take every pod's network away.
    let Some(valid) = configuration.valid_attachments else {
        let message = "the configuration has no `cni.dev/valid-attachments`: GC removes all others";
        return Err(CniError::new(Code::InvalidConfiguration, message));
    };
    match ask(&configuration.socket, Request::Gc { network: configuration.name, valid }, None) {
        Ok(AnswerOutcome::Done) => Ok(String::new()),
        other => Err(refusal(other)),
    }
}

fn status(configuration: &Configuration) -> Result<String, CniError> {
    configuration.must_have("STATUS", CniVersion::V1_1_0)?;
    match ask(&configuration.socket, Request::Status, None) {
        Ok(AnswerOutcome::Done) => Ok(String::new()),
        // Containers that are attached go on without the agent: it is not "limited connectivity" (51).
        other => Err(CniError { code: Code::NotAvailable, ..refusal(other) }),
    }
}

/// Why the agent did not do what was asked.
fn refusal(answer: Result<AnswerOutcome, AskError>) -> CniError {
    match answer {
        Ok(AnswerOutcome::Refused { error }) => error,
        Ok(_) => CniError::new(Code::Failed, "the agent answers something that was not asked: is it another version?"),
        Err(error) => error.try_again_later(),
    }
}
