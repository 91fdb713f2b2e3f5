#!/bin/bash
# check.sh: what `make test` and CI look at before they run a test, in seconds. As .git/hooks/pre-commit: make hooks.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- --deny warnings
cargo clippy --package stub --all-targets --features failpoints --quiet -- --deny warnings
cargo test --quiet --package e2e --test architecture
