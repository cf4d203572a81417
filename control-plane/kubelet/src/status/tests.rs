//! Tables of what is reported.
