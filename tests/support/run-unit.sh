#!/bin/sh
# Run unit test programs, a few at a time: most of their time they wait for a
# disk or a timer.  A program that ran no test, or whose linking left it empty,
# is a failure.
set -u
: "${B:?}"
export LSAN_OPTIONS="${LSAN_OPTIONS:-exitcode=23}"

# One program: its counts and, when it failed, its words go to files.
if [ "${1:-}" = --one ]; then
	to=$said/$(printf '%s' "$2" | tr / _) # names repeat, paths do not
	out=$("$2" -j1 2>&1) || true
	line=$(printf '%s\n' "$out" | grep 'Synthesis:' | tail -n 1)
	tested=$(printf '%s' "$line" | sed -n 's/.*Tested: \([0-9]*\).*/\1/p')
	passing=$(printf '%s' "$line" | sed -n 's/.*Passing: \([0-9]*\).*/\1/p')
	if [ "${tested:-0}" -eq 0 ] || [ "$tested" -ne "${passing:-0}" ]; then
		printf '%s\nFAILED %s (tested %s)\n' "$out" "$2" "${tested:-0}" \
			>"$to.failed"
	fi
	printf '%s %s\n' "${tested:-0}" "${passing:-0}" >"$to.counts"
	exit 0
fi

said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
export said B
printf '%s\n' "$@" | xargs -P "${UNIT_JOBS:-4}" -n 1 "$0" --one
cat "$said"/*.failed 2>/dev/null
# A program that was not even counted counts as failed.
cat "$said"/*.counts | awk -v programs=$# '
	{ passed += $2; failed += $1 == 0 ? 1 : $1 - $2; counted++ }
	END {
		failed += programs - counted
		printf "unit: %d passed, %d failed\n", passed, failed
		exit failed > 0
	}'
