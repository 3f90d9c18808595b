//! The files of a cluster: what they say, with file and line for whatever is wrong, and whether they may be trusted.
