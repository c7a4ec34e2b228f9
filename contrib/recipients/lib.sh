# Sourced by the scripts beside it: work in a folder that goes away, and print
# a whole list or nothing.  A list that is cut short or empty is worse than an
# old one: mail to whom it lacks is refused.
# shellcheck shell=sh
set -eu
umask 077
LC_ALL=C.UTF-8
export LC_ALL
me=${0##*/}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
	echo "$me: $*" >&2
	exit 1
}

need() {
	for tool; do
		command -v "$tool" >/dev/null || fail "$tool is not here"
	done
}

# finish FILE: print the addresses in it, sorted, each once.  What is no
# address, with its line, ends it; so do a catch-all and an empty list.
finish() {
	sed -e 's/[[:space:]]*$//' -e '/^$/d' "$1" >"$work/finish" || fail "$1"
	if grep -E '^(\*|@)' "$work/finish" >"$work/all"; then
		fail "takes everyone ($(head -n 1 "$work/all")): leave that" \
			"domain out (-x) and give it recipients=* there"
	fi
	if grep -vE '^("[^"]*"|[^"@[:space:]]+)@[^@[:space:]]+$' \
		"$work/finish" >"$work/odd"; then
		fail "is no address: $(head -n 1 "$work/odd")"
	fi
	[ -s "$work/finish" ] || fail "found nobody: nothing is printed"
	sort -u "$work/finish" >"$work/sorted" || fail "cannot sort"
	cat "$work/sorted"
}

# leave_out FILE DOMAIN...: without the addresses of these domains.
leave_out() {
	leave_file=$1
	shift
	for domain; do
		awk -v d="@$domain" 'BEGIN { d = tolower(d) }
			substr(tolower($0), length($0) - length(d) + 1) != d' \
			"$leave_file" >"$work/left" || fail "awk"
		mv "$work/left" "$leave_file"
	done
}
