#!/bin/bash
# test.sh ARGUMENT…: cargo test, then one line that counts: what was skipped is not what passed.
# A test that cannot run here prints a line that begins with "skipped:" (tests/src/skip.rs).
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test "$@" 2>&1 | tee "$log"
outcome=$?
passed=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")
failed=$(awk '/^test result:/ { sum += $6 } END { print sum + 0 }' "$log")
skipped=$(grep -c '^skipped: ' "$log")
# A skipped test returns early, and cargo counts it as passed.
echo "tests: $((passed - skipped)) passed, $failed failed, $skipped skipped"
exit "$outcome"
