//! The deciders, step by step.
