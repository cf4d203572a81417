//! Streams of exec, attach and port-forward: SPDY/3.1 frames and Kubernetes' WebSocket channels, without knowledge of pods.
