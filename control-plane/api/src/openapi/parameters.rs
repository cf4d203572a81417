//! The parameters of requests.

/// A parameter in the query or the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) ty: ParameterType,
    pub(super) description: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Path,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterType {
    String,
    Integer,
    Boolean,
}

pub(super) const NAME: Parameter = path("name", "name of the object");
pub(super) const NAMESPACE: Parameter = path("namespace", "object name and auth scope, such as for teams and projects");
pub(super) const PATH: Parameter = path("path", "path to the resource");
pub(super) const PRETTY: Parameter = text("pretty", "If 'true', then the output is pretty printed.");

/// What to select, for lists and deletions of many.
pub(super) const SELECTION: &[Parameter] = &[
    text("continue", "The token of the previous page, to go on after it."),
    text("fieldSelector", "Restricts the objects by their fields. Defaults to everything."),
    text("labelSelector", "Restricts the objects by their labels. Defaults to everything."),
    integer("limit", "The most objects to return; the reply then carries the token of the next page."),
    text("resourceVersion", "How fresh the answer has to be; unset asks for the most recent."),
    text("resourceVersionMatch", "How resourceVersion is applied to a list: NotOlderThan or Exact."),
    flag("sendInitialEvents", "A watch begins with the objects that exist, and a bookmark after them."),
    integer("timeoutSeconds", "Ends the call after this time, whether it is busy or not."),
];

pub(super) const WATCH: &[Parameter] = &[
    flag("allowWatchBookmarks", "The watch may carry events of type BOOKMARK."),
    flag("watch", "Watch for changes and return them as a stream of events."),
];

pub(super) const DRY_RUN: Parameter =
    text("dryRun", "All: do everything but store the result. Any other value is an error.");
pub(super) const FIELD_MANAGER: Parameter = text("fieldManager", "The name of who makes the changes.");
pub(super) const FIELD_VALIDATION: Parameter = text(
    "fieldValidation",
    "What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict, which refuses the request.",
);
pub(super) const FORCE: Parameter =
    flag("force", "Take over fields that others own. Server-side apply only; the default is false.");

pub(super) const DELETION: &[Parameter] = &[
    DRY_RUN,
    integer("gracePeriodSeconds", "How long the object may take to end; zero is at once."),
    flag("orphanDependents", "Deprecated: use propagationPolicy."),
    text("propagationPolicy", "Orphan, Background or Foreground: what becomes of the object's dependents."),
];

pub(super) const LOG: &[Parameter] = &[
    text("container", "The container; needed when the pod has several."),
    flag("follow", "Follow the log as it grows."),
    flag("insecureSkipTLSVerifyBackend", "Do not verify the node's certificate."),
    integer("limitBytes", "The most bytes to return."),
    flag("previous", "The log of the container's previous run."),
    integer("sinceSeconds", "Only lines younger than this."),
    text("stream", "All, Stdout or Stderr."),
    integer("tailLines", "The lines to return, counted from the end."),
    flag("timestamps", "Begin every line with its time."),
];

pub(super) const STREAMS: &[Parameter] = &[
    text("container", "The container; defaults to the only one."),
    flag("stderr", "Connect the standard error stream."),
    flag("stdin", "Connect the standard input stream."),
    flag("stdout", "Connect the standard output stream."),
    flag("tty", "Allocate a terminal."),
];

pub(super) const COMMAND: Parameter = text("command", "The command to run; given once for each word.");
pub(super) const PORTS: Parameter = integer("ports", "The ports to forward; needed with WebSockets.");
pub(super) const PROXY_PATH: Parameter = text("path", "The path of the URL to use for the proxied request.");

const fn path(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, ty: ParameterType::String, description }
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, ty: ParameterType::String, description }
}

const fn integer(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, ty: ParameterType::Integer, description }
}

const fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, ty: ParameterType::Boolean, description }
}
