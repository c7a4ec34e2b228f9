#!/bin/sh
# Run unit test programs one after the other; a program that ran no test, or
# whose linking left it empty, is a failure.
set -u
: "${B:?}"
passed=0 failed=0
export LSAN_OPTIONS="${LSAN_OPTIONS:-exitcode=23}"
for program in "$@"; do
	out=$("$program" -j1 2>&1) || true
	line=$(printf '%s\n' "$out" | grep 'Synthesis:' | tail -n 1)
	tested=$(printf '%s' "$line" | sed -n 's/.*Tested: \([0-9]*\).*/\1/p')
	passing=$(printf '%s' "$line" | sed -n 's/.*Passing: \([0-9]*\).*/\1/p')
	if [ "${tested:-0}" -eq 0 ] || [ "$tested" -ne "${passing:-0}" ]; then
		printf '%s\n' "$out"
		printf 'FAILED %s (tested %s)\n' "$program" "${tested:-0}"
		failed=$((failed + ${tested:-1} - ${passing:-0}))
		[ "${tested:-0}" -eq 0 ] && failed=$((failed + 1))
	fi
	passed=$((passed + ${passing:-0}))
done
printf 'unit: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
