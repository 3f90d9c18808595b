//! Deciders against simulated devices, clocks and stops.
