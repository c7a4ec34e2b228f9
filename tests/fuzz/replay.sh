#!/bin/sh
# Run each fuzz target over its seeds and over every input that once broke it.
set -u
here=tests/fuzz
total=0
failed=0
TMPDIR=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)")
export TMPDIR
log=$TMPDIR/log
trap 'rm -rf "$TMPDIR"' EXIT
for program in "$@"; do
	name=${program##*/fuzz_}
	files=$("$program" "$here/seeds/$name" "$here/regress/$name" 2>"$log")
	if [ $? -eq 0 ]; then
		total=$((total + files))
	else
		tail -n 25 "$log"
		printf 'FAILED %s\n' "$program"
		failed=$((failed + 1))
	fi
done
printf 'fuzz: %d files replayed, %d targets failed\n' "$total" "$failed"
[ "$failed" -eq 0 ]
