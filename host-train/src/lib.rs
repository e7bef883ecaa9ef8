//! Host side of microconv.
