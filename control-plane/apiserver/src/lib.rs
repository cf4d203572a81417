//! The Kubernetes API: REST, watch, patch, discovery, OpenAPI, authentication, authorization, admission.
