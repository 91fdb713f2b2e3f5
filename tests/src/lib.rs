//! Harness of the end-to-end tests: builds packages, runs the real binaries, compares trees.
//! The tests themselves are in `tests/`.
