//! `metadata` of a document: reads that never fail and the few writes that the server itself makes.

use jiff::Timestamp;
use serde_json::Value;
use sheave_api::Document;
use sheave_api::view::{Edit, View};

/// `metadata` of an object.
pub(crate) trait Meta {
    fn name(&self) -> &str;
    fn namespace(&self) -> &str;
    fn uid(&self) -> &str;
    fn resource_version(&self) -> &str;
    fn finalizers(&self) -> Vec<String>;
    fn is_deleting(&self) -> bool;
    /// `deletionGracePeriodSeconds`.
    fn deletion_grace_period(&self) -> Option<i64>;

    fn set_meta(&mut self, field: &str, value: impl Into<Value>);
    fn set_finalizers(&mut self, finalizers: Vec<String>);
    /// Marks the object as going away `grace` seconds after `now`.
    fn set_deleting(&mut self, now: Timestamp, grace: i64);
}

impl Meta for Document {
    fn name(&self) -> &str {
        self.text("metadata.name")
    }

    fn namespace(&self) -> &str {
        self.text("metadata.namespace")
    }

    fn uid(&self) -> &str {
        self.text("metadata.uid")
    }

    fn resource_version(&self) -> &str {
        self.text("metadata.resourceVersion")
    }

    fn finalizers(&self) -> Vec<String> {
        self.texts("metadata.finalizers").map(ToOwned::to_owned).collect()
    }

    fn is_deleting(&self) -> bool {
        self.has("metadata.deletionTimestamp")
    }

    fn deletion_grace_period(&self) -> Option<i64> {
        self.int("metadata.deletionGracePeriodSeconds")
    }

    fn set_meta(&mut self, field: &str, value: impl Into<Value>) {
        if let Some(metadata) = self.object_mut("metadata") {
            metadata.insert(field.to_owned(), value.into());
        }
    }

    fn set_finalizers(&mut self, finalizers: Vec<String>) {
        if finalizers.is_empty() {
            self.remove("metadata.finalizers");
        } else {
            self.set_meta("finalizers", finalizers);
        }
    }

    fn set_deleting(&mut self, now: Timestamp, grace: i64) {
        let at = now.saturating_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
        self.set_meta("deletionTimestamp", sheave_api::time::format(at));
        self.set_meta("deletionGracePeriodSeconds", grace);
    }
}
