//! The deciders by hand, and against simulated devices, clocks and stops; the edge against files.

mod deciders;
mod edge;
mod simulation;
