#!/bin/sh
# Fuzz each program for FUZZ_SECONDS.  What it learns stays in build/, what
# breaks it goes to tests/fuzz/regress/ and is replayed by every later check.
set -u
: "${FUZZ_SECONDS:=600}"
here=tests/fuzz
status=0
TMPDIR=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
for program in "$@"; do
	name=${program##*/fuzz_}
	corpus=build/fuzz/corpus/$name
	log=build/fuzz/$name.log
	mkdir -p "$corpus" "$here/regress/$name" "$here/seeds/$name"
	dict=$here/seeds/$name.dict
	set -- -max_total_time="$FUZZ_SECONDS" -timeout=20 -max_len=4096 \
		-rss_limit_mb=2048 -print_final_stats=1 -use_value_profile=1 \
		-artifact_prefix="$here/regress/$name/"
	[ -e "$dict" ] && set -- "$@" -dict="$dict"
	if nice -n 10 "$program" "$@" "$corpus" "$here/seeds/$name" \
		"$here/regress/$name" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		cov=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
		printf '%-12s %s s, %s runs, %s edges: no finding\n' \
			"$name" "$FUZZ_SECONDS" "$runs" "$cov"
	else
		grep -E 'ERROR|SUMMARY|does not hold|Test unit written' "$log"
		printf '%-12s FAILED, see %s\n' "$name" "$log"
		status=1
	fi
	rmdir "$here/regress/$name" 2>/dev/null # empty
done
exit $status
