//! Real TCP and UDP between network namespaces, through the attached programs.
