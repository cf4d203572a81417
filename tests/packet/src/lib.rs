//! One packet through one kernel program, table driven.
