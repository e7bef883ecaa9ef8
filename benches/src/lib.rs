//! Shared bench cases.
