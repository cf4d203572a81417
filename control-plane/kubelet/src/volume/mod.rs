//! Volumes of pods: made before a container starts, kept up to date, removed after the pod.
