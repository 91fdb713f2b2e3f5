#!/bin/bash
# test.sh ARGUMENT…: cargo test, then one line that counts: what was skipped is not what passed.
# A test that cannot run here prints a line that begins with "skipped:", one that leaves something out a line that begins
# with "in part:" (tests/src/skip.rs).
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test "$@" 2>&1 | tee "$log"
outcome=$?
passed=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")
failed=$(awk '/^test result:/ { sum += $6 } END { print sum + 0 }' "$log")
skipped=$(grep -c '^skipped: ' "$log")
part=$(grep -c '^in part: ' "$log")
# A skipped test returns early, and cargo counts it as passed.
line="tests: $((passed - skipped)) passed, $failed failed, $skipped skipped"
if [ "$skipped" -gt 0 ] || [ "$part" -gt 0 ]; then
	echo "What did not run here, and how often that was the reason:"
	grep -E '^(skipped|in part): ' "$log" | sed -E 's/^([^:]*: [^:]*): .*/\1/' | sort | uniq -c | sort -rn
	line="$line, $part in part: NOT ALL OF THE TESTS RAN"
fi
echo "$line"
exit "$outcome"
