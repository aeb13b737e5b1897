//! Crash points and mutants for the fault tests (being built).
