//! What kernel programs and user space share: packet views, checksums, map layouts, drop reasons.
