//! Query parameters as the option types of `meta.k8s.io/v1`, parsed and validated at the edge.

use http::HeaderMap;
use http::header::USER_AGENT;
use sheave_api::Document;
use sheave_api::decode::FieldValidation;
use sheave_api::field::{Cause, FieldError, Path};

use crate::status::StatusError;

/// The decoded pairs of a query string, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// `ListOptions`: of list, watch and deletecollection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) resource_version: Option<u64>,
    pub(crate) version_match: Option<VersionMatch>,
    pub(crate) limit: Option<usize>,
    pub(crate) continue_token: Option<String>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) allow_bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
}

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// The collection exactly as it was.
    Exact,
    /// The collection as it was then or later.
    NotOlderThan,
}

/// `CreateOptions`, `UpdateOptions` and `PatchOptions`.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    /// The manager in `managedFields`: the parameter, or else the client's name from `User-Agent`.
    pub(crate) field_manager: String,
    pub(crate) validation: FieldValidation,
    pub(crate) force: Option<bool>,
    /// A server-side apply, which settles the ownership of fields itself.
    pub(crate) is_apply: bool,
}

/// `DeleteOptions`, from the body where there is one, else from the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

/// What happens to an object's dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They lose their owner reference.
    Orphan,
    /// The collector deletes them afterwards.
    Background,
    /// The object waits for them.
    Foreground,
}

const SECONDS_OF_A_WEEK: u64 = 7 * 24 * 3600;

// === impl Query ===

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Present and anything but `false` or `0` is true, as Kubernetes' conversion has it.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    fn optional_flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !(value.eq_ignore_ascii_case("false") || value == "0"))
    }

    fn nonempty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, StatusError> {
        self.nonempty(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    StatusError::bad_request(format!(
                        "invalid value {value:?} for the query parameter {name}: not an integer in range"
                    ))
                })
            })
            .transpose()
    }
}

// === impl ListOptions ===

impl ListOptions {
    /// Parses and validates, for a watch or for a list.
    pub(crate) fn parse(query: &Query, watch: bool) -> Result<Self, StatusError> {
        let options = Self {
            label_selector: query.get("labelSelector").unwrap_or_default().to_owned(),
            field_selector: query.get("fieldSelector").unwrap_or_default().to_owned(),
            resource_version: parse_resource_version(query.get("resourceVersion"))?,
            version_match: None,
            limit: query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|&it| it > 0),
            continue_token: query.nonempty("continue").map(ToOwned::to_owned),
            timeout_seconds: query.number::<u64>("timeoutSeconds")?.map(|seconds| seconds.min(SECONDS_OF_A_WEEK)),
            allow_bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: query.optional_flag("sendInitialEvents"),
        };
        options.with_match(query.nonempty("resourceVersionMatch"), watch)
    }

    /// Checks the combinations that KEP-2340 and KEP-3157 allow.
    fn with_match(mut self, version_match: Option<&str>, watch: bool) -> Result<Self, StatusError> {
        let mut errors = Vec::new();
        match version_match {
            None => {}
            Some("Exact") => self.version_match = Some(VersionMatch::Exact),
            Some("NotOlderThan") => self.version_match = Some(VersionMatch::NotOlderThan),
            Some(other) => errors.push(unsupported(
                "resourceVersionMatch",
                other,
                if watch { &["NotOlderThan"] } else { &["Exact", "NotOlderThan"] },
            )),
        }
        if watch {
            self.check_watch(&mut errors);
        } else {
            self.check_list(&mut errors);
        }
        if errors.is_empty() { Ok(self) } else { Err(invalid_options("ListOptions", &errors)) }
    }

    fn check_list(&self, errors: &mut Vec<FieldError>) {
        if self.send_initial_events.is_some() {
            errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        let Some(version_match) = self.version_match else { return };
        if self.resource_version.is_none() {
            let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(forbidden("resourceVersionMatch", detail));
        }
        if self.continue_token.is_some() {
            let detail = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(forbidden("resourceVersionMatch", detail));
        }
        if version_match == VersionMatch::Exact && self.resource_version == Some(0) {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(forbidden("resourceVersionMatch", detail));
        }
    }

    fn check_watch(&self, errors: &mut Vec<FieldError>) {
        match (self.send_initial_events, self.version_match) {
            (Some(_), None) => errors.push(forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )),
            (Some(_), Some(VersionMatch::Exact)) => {
                errors.push(unsupported("resourceVersionMatch", "Exact", &["NotOlderThan"]));
            }
            (None, Some(_)) => errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )),
            _ => {}
        }
        if self.continue_token.is_some() {
            errors.push(forbidden("continue", "continue is forbidden for watch"));
        }
    }
}

/// `resourceVersion`: absent and empty are the same; anything but digits is refused.
pub(crate) fn parse_resource_version(value: Option<&str>) -> Result<Option<u64>, StatusError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| {
        StatusError::bad_request(format!(
            "Invalid value: {value:?}: resourceVersion must be one that the server gave out"
        ))
    })
}

// === impl WriteOptions ===

impl WriteOptions {
    /// Of a POST or PUT; `kind` is the option type's name, such as `CreateOptions`.
    pub(crate) fn parse(query: &Query, headers: &HeaderMap, kind: &str) -> Result<Self, StatusError> {
        let manager = query.nonempty("fieldManager").unwrap_or_default();
        Self::checked(query, headers, kind, sheave_patch::options::validate_manager(manager))
    }

    /// Of a PATCH; only server-side apply takes `force`, and it needs a manager.
    pub(crate) fn parse_patch(query: &Query, headers: &HeaderMap, is_apply: bool) -> Result<Self, StatusError> {
        let manager = query.nonempty("fieldManager").unwrap_or_default();
        let errors = sheave_patch::options::validate(manager, query.optional_flag("force"), is_apply);
        Ok(Self { is_apply, ..Self::checked(query, headers, "PatchOptions", errors)? })
    }

    fn checked(
        query: &Query,
        headers: &HeaderMap,
        kind: &str,
        mut errors: Vec<FieldError>,
    ) -> Result<Self, StatusError> {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
        let manager = query.nonempty("fieldManager").unwrap_or_default();
        let options = Self {
            dry_run: dry_run(query.all("dryRun"), &mut errors),
            field_manager: sheave_patch::options::manager_name(manager, agent),
            validation: validation(query.nonempty("fieldValidation"), &mut errors),
            force: query.optional_flag("force"),
            is_apply: false,
        };
        if errors.is_empty() { Ok(options) } else { Err(invalid_options(kind, &errors)) }
    }
}

fn validation(value: Option<&str>, errors: &mut Vec<FieldError>) -> FieldValidation {
    let value = value.unwrap_or_default();
    FieldValidation::from_parameter(value).unwrap_or_else(|| {
        errors.push(unsupported("fieldValidation", value, &["Ignore", "Strict", "Warn"]));
        FieldValidation::default()
    })
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<FieldError>) -> bool {
    let mut dry = false;
    for value in values.filter(|value| !value.is_empty()) {
        if value == "All" {
            dry = true;
        } else {
            errors.push(unsupported("dryRun", value, &["All"]));
        }
    }
    dry
}

// === impl DeleteOptions ===

impl DeleteOptions {
    /// From the query alone.
    pub(crate) fn from_query(query: &Query) -> Result<Self, StatusError> {
        let mut errors = Vec::new();
        let orphan = query.optional_flag("orphanDependents");
        let options = Self {
            grace_period_seconds: query.number("gracePeriodSeconds")?,
            propagation: propagation(query.nonempty("propagationPolicy"), orphan, &mut errors),
            uid: None,
            resource_version: None,
            dry_run: dry_run(query.all("dryRun"), &mut errors),
        };
        options.checked(errors)
    }

    /// From a `DeleteOptions` body, which rules over the query.
    pub(crate) fn from_body(body: &Document) -> Result<Self, StatusError> {
        let mut errors = Vec::new();
        let text = |field: &str| body.pointer(field).and_then(Document::as_str);
        let dry_runs = body["dryRun"].as_array().map(Vec::as_slice).unwrap_or_default();
        let options = Self {
            grace_period_seconds: body["gracePeriodSeconds"].as_i64(),
            propagation: propagation(text("/propagationPolicy"), body["orphanDependents"].as_bool(), &mut errors),
            uid: text("/preconditions/uid").map(ToOwned::to_owned),
            resource_version: text("/preconditions/resourceVersion").map(ToOwned::to_owned),
            dry_run: dry_run(dry_runs.iter().filter_map(Document::as_str), &mut errors),
        };
        options.checked(errors)
    }

    fn checked(self, mut errors: Vec<FieldError>) -> Result<Self, StatusError> {
        if let Some(seconds) = self.grace_period_seconds.filter(|&seconds| seconds < 0) {
            errors.push(FieldError {
                path: Path::new("gracePeriodSeconds"),
                cause: Cause::Invalid,
                message: format!("Invalid value: {seconds}: must be greater than or equal to 0"),
            });
        }
        if errors.is_empty() { Ok(self) } else { Err(invalid_options("DeleteOptions", &errors)) }
    }
}

fn propagation(policy: Option<&str>, orphan: Option<bool>, errors: &mut Vec<FieldError>) -> Option<Propagation> {
    match (policy, orphan) {
        (Some(policy), Some(_)) => {
            errors.push(FieldError {
                path: Path::new("propagationPolicy"),
                cause: Cause::Invalid,
                message: format!(
                    "Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set"
                ),
            });
            None
        }
        (None, None) => None,
        (None, Some(true)) => Some(Propagation::Orphan),
        (None, Some(false)) => Some(Propagation::Background),
        (Some("Orphan"), None) => Some(Propagation::Orphan),
        (Some("Background"), None) => Some(Propagation::Background),
        (Some("Foreground"), None) => Some(Propagation::Foreground),
        (Some(other), None) => {
            errors.push(unsupported("propagationPolicy", other, &["Background", "Foreground", "Orphan"]));
            None
        }
    }
}

fn invalid_options(kind: &str, errors: &[FieldError]) -> StatusError {
    StatusError::invalid_kind("meta.k8s.io", kind, "", errors)
}

fn unsupported(field: &str, value: &str, supported: &[&str]) -> FieldError {
    let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
    FieldError {
        path: Path::new(field),
        cause: Cause::NotSupported,
        message: format!("Unsupported value: {value:?}: supported values: {}", supported.join(", ")),
    }
}

fn forbidden(field: &str, detail: &str) -> FieldError {
    FieldError { path: Path::new(field), cause: Cause::Forbidden, message: format!("Forbidden: {detail}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str, watch: bool) -> Result<ListOptions, String> {
        ListOptions::parse(&Query::parse(Some(query)), watch).map_err(|error| error.to_string())
    }

    #[test]
    fn version_match_needs_a_version_and_no_continue() {
        assert!(list("resourceVersionMatch=Exact", false).unwrap_err().contains("unless resourceVersion is provided"));
        assert!(list("resourceVersionMatch=Exact&resourceVersion=0", false).is_err());
        assert!(list("resourceVersionMatch=Exact&resourceVersion=5", false).is_ok());
        assert!(list("resourceVersionMatch=NotOlderThan&resourceVersion=0", false).is_ok());
        assert!(list("sendInitialEvents=true", false).unwrap_err().contains("forbidden for list"));
    }

    #[test]
    fn initial_events_need_not_older_than() {
        assert!(list("sendInitialEvents=true", true).is_err());
        assert!(list("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", true).is_ok());
        assert!(list("sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=3", true).is_err());
        assert!(list("resourceVersionMatch=NotOlderThan&resourceVersion=3", true).is_err());
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        assert!(list("limit=abc", false).unwrap_err().contains("limit"));
        assert!(list("resourceVersion=abc", false).unwrap_err().contains("resourceVersion"));
        assert!(list("timeoutSeconds=-1", true).unwrap_err().contains("timeoutSeconds"));
        assert_eq!(list("limit=-1", false).unwrap().limit, None);
    }

    #[test]
    fn delete_options_come_from_body_or_query() {
        let body = serde_json::json!({"propagationPolicy": "Foreground", "gracePeriodSeconds": 0, "dryRun": ["All"],
            "preconditions": {"uid": "u"}});
        let options = DeleteOptions::from_body(&body).unwrap();
        assert_eq!(options.propagation, Some(Propagation::Foreground));
        assert_eq!((options.grace_period_seconds, options.dry_run), (Some(0), true));
        assert_eq!(options.uid.as_deref(), Some("u"));
        assert!(DeleteOptions::from_body(&serde_json::json!({"propagationPolicy": "Maybe"})).is_err());
        assert!(DeleteOptions::from_query(&Query::parse(Some("gracePeriodSeconds=-1"))).is_err());
    }

    #[test]
    fn the_manager_is_the_parameter_or_the_agent() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, "kubectl/v1.32.5 (linux/amd64)".parse().unwrap());
        let parse = |query: &str| WriteOptions::parse(&Query::parse(Some(query)), &headers, "CreateOptions");
        assert_eq!(parse("").unwrap().field_manager, "kubectl");
        assert_eq!(parse("fieldManager=me").unwrap().field_manager, "me");
        assert!(parse("dryRun=Some").unwrap_err().to_string().contains("Unsupported value"));
        assert!(parse(&format!("fieldManager={}", "x".repeat(200))).is_err());
    }
}
