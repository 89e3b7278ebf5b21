#!/bin/bash
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD CHECK...   Runs the cmocka programs BUILD/tests/CHECK one after the other: a line
# each, the whole output of one that fails. Closes with 'N passed, N failed', which is kept in
# BUILD/tests/summary. A program that crashes, runs too long or runs no test counts as a failure.
export LC_ALL=C CMOCKA_MESSAGE_OUTPUT=stdout
build=$1
shift
limit_s=${TEST_LIMIT_S:-180}
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT
passed=0
failed=0

# Sum of N over cmocka's lines '[  WORD  ] N test(s)...'.
count() { awk -v word="[$1]" '{ gsub(/ /, "", $0) } index($0, word) == 1 &&
    match($0, /\][0-9]+test/) { n += substr($0, RSTART + 1) } END { print n + 0 }' "$log"; }

why() {
    if [ "$1" = 124 ] || [ "$1" = 137 ]; then
        echo "stopped after $limit_s s"
    elif [ "$1" -gt 128 ]; then
        echo "ended by signal $(($1 - 128))"
    elif [ "$2" = 0 ]; then
        echo "ended before cmocka's summary, exit code $1"
    else
        echo "exit code $1"
    fi
}

for check in "$@"; do
    start=${EPOCHREALTIME/./}
    { timeout -k 5 "$limit_s" "$build/tests/$check" >"$log" 2>&1 </dev/null; } 2>/dev/null
    code=$?
    took=$(((${EPOCHREALTIME/./} - start) / 1000))
    good=$(count PASSED)
    bad=$(count FAILED)
    skipped=$(count SKIPPED)
    note=
    if [ $bad = 0 ] && { [ $code != 0 ] || [ $((good + skipped)) = 0 ]; }; then
        bad=1
        note=" ($(why $code $good))"
    fi
    [ "$skipped" = 0 ] || note="$note ($skipped skipped)"
    word=ok
    [ $bad = 0 ] || { word=FAILED; cat "$log"; }
    printf '  %-6s %-24s %3d passed %3d failed %4d.%03d s%s\n' $word "$check" \
        $good $bad $((took / 1000)) $((took % 1000)) "$note"
    passed=$((passed + good))
    failed=$((failed + bad))
done

echo "$passed passed, $failed failed" | tee "$build/tests/summary"
[ $failed = 0 ] && [ $passed -gt 0 ]
