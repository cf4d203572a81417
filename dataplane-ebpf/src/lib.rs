//! Sheave's kernel programs.
