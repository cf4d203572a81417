//! The `CNI_*` variables, read and judged before anything else happens.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{CniError, Code};
use crate::protocol::{Attachment, PodReference};

/// What a runtime can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

/// Looks variables up, and complains about the one that is wrong by its name.
pub(crate) struct Environment<F> {
    variable: F,
}

/// Longest name of a network interface in bytes (the kernel's IFNAMSIZ without its closing zero).
const LONGEST_INTERFACE: usize = 15;
/// Longest container id that is taken; runtimes use 64 digits.
const LONGEST_CONTAINER: usize = 200;

// === impl Environment ===

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    pub(crate) fn new(variable: F) -> Self {
        Self { variable }
    }

    pub(crate) fn verb(&self) -> Result<Verb, CniError> {
        let text = self.required("CNI_COMMAND")?;
        match text.as_str() {
            "ADD" => Ok(Verb::Add),
            "DEL" => Ok(Verb::Del),
            "CHECK" => Ok(Verb::Check),
            "GC" => Ok(Verb::Gc),
            "STATUS" => Ok(Verb::Status),
            "VERSION" => Ok(Verb::Version),
            _ => Err(wrong("CNI_COMMAND", &text, "it is none of ADD, DEL, CHECK, GC, STATUS and VERSION")),
        }
    }

    /// Container and interface: what all verbs about one attachment name.
    pub(crate) fn attachment(&self, network: &str) -> Result<Attachment, CniError> {
        let container = self.required("CNI_CONTAINERID")?;
        if !is_identifier(&container) || container.len() > LONGEST_CONTAINER {
            return Err(wrong("CNI_CONTAINERID", &container, "an id is letters, digits, `_`, `.` and `-`"));
        }
        let interface = self.required("CNI_IFNAME")?;
        if !is_interface_name(&interface) {
            let rule = "the kernel takes 1 to 15 bytes without spaces, `/` and `:`, and neither `.` nor `..`";
            return Err(wrong("CNI_IFNAME", &interface, rule));
        }
        Ok(Attachment { network: network.to_owned(), container, interface })
    }

    /// Where the container's network namespace is.
    pub(crate) fn namespace(&self) -> Result<PathBuf, CniError> {
        let path = self.required("CNI_NETNS").map(PathBuf::from)?;
        if path.is_absolute() {
            return Ok(path);
        }
        Err(wrong("CNI_NETNS", &path.to_string_lossy(), "it must be an absolute path"))
    }

    /// The pod, when the runtime works for Kubernetes. Other `CNI_ARGS` are nobody's business here.
    pub(crate) fn pod(&self) -> Result<Option<PodReference>, CniError> {
        let Some(arguments) = self.optional("CNI_ARGS")? else { return Ok(None) };
        let (mut namespace, mut name, mut uid) = (None, None, None);
        for pair in arguments.split(';').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(wrong("CNI_ARGS", &arguments, "it must be KEY=VALUE pairs with `;` between them"));
            };
            match key {
                "K8S_POD_NAMESPACE" => namespace = Some(value.to_owned()),
                "K8S_POD_NAME" => name = Some(value.to_owned()),
                "K8S_POD_UID" => uid = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(namespace.zip(name).map(|(namespace, name)| PodReference { namespace, name, uid }))
    }

    fn required(&self, name: &str) -> Result<String, CniError> {
        self.optional(name)?.ok_or_else(|| {
            CniError::new(Code::InvalidVariable, format!("{name} is not set: the runtime has to set it for this verb"))
        })
    }

    /// A variable that is set to nothing counts as not set, as in the reference implementation.
    fn optional(&self, name: &str) -> Result<Option<String>, CniError> {
        let Some(value) = (self.variable)(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        let not_text = |value: OsString| wrong(name, &value.to_string_lossy(), "it is not UTF-8");
        value.into_string().map(Some).map_err(not_text)
    }
}

/// A letter or digit, then letters, digits, `_`, `.` and `-`: container ids and network names.
pub(crate) fn is_identifier(text: &str) -> bool {
    let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins_well && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_interface_name(text: &str) -> bool {
    let forbidden = |byte: u8| byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte.is_ascii_control();
    (1..=LONGEST_INTERFACE).contains(&text.len()) && text != "." && text != ".." && !text.bytes().any(forbidden)
}

fn wrong(name: &str, value: &str, rule: &str) -> CniError {
    CniError::new(Code::InvalidVariable, format!("{name} is {value:?}: {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&str, &str)]) -> Environment<impl Fn(&str) -> Option<OsString>> {
        Environment::new(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn a_wrong_variable_is_refused_by_name() {
        for (name, value) in [
            ("CNI_CONTAINERID", ""),
            ("CNI_CONTAINERID", "../../etc"),
            ("CNI_CONTAINERID", "-a"),
            ("CNI_CONTAINERID", "a b"),
            ("CNI_IFNAME", ""),
            ("CNI_IFNAME", "a/b"),
            ("CNI_IFNAME", ".."),
            ("CNI_IFNAME", "eth0:1"),
            ("CNI_IFNAME", "eth 0"),
            ("CNI_IFNAME", "sixteen-bytes-xx"),
        ] {
            let environment = Environment::new(|asked: &str| match asked {
                _ if asked == name => Some(value.into()),
                "CNI_CONTAINERID" => Some("abc".into()),
                _ => Some("eth0".into()),
            });
            let error = environment.attachment("pods").unwrap_err();
            assert_eq!(error.code, Code::InvalidVariable);
            assert!(error.message.starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_namespace_must_be_an_absolute_path() {
        assert!(environment(&[("CNI_NETNS", "netns/a")]).namespace().is_err());
        assert!(environment(&[]).namespace().is_err());
        assert_eq!(environment(&[("CNI_NETNS", "/run/netns/a")]).namespace(), Ok("/run/netns/a".into()));
    }

    #[test]
    fn kubernetes_arguments_name_the_pod_and_others_are_ignored() {
        let kubernetes = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=u-1;X=";
        let environment = Environment::new(|_: &str| Some(kubernetes.into()));
        let pod = environment.pod().unwrap().unwrap();
        assert_eq!((pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_deref()), ("shop", "web-1", Some("u-1")));
        assert_eq!(Environment::new(|_: &str| Some("A=1;B=2".into())).pod(), Ok(None));
        assert_eq!(Environment::new(|_: &str| Some("nonsense".into())).pod().unwrap_err().code, Code::InvalidVariable);
    }
}
