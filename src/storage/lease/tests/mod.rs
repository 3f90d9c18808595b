//! The deciders by hand, and against simulated devices, clocks and stops.

mod deciders;
mod simulation;
