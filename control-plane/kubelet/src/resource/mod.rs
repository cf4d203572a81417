//! Requests and limits as control groups, and the quality of service that follows from them.
