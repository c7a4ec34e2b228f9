#!/bin/sh
# Install the Debian packages that are missing.
#   deps.sh build   what it takes to build and to run the demo
#   deps.sh mirror  and PostgreSQL, for a demo with two copies
#   deps.sh deb     to build a Debian package
#   deps.sh package to build one and to check it
#   deps.sh test    and the test suites (Postfix among them, as a primary, and
#                   PostgreSQL, for a second copy)
#   deps.sh fuzz    to build, and clang with its fuzzer
# Needs root or sudo only when something is missing.
set -eu

build="build-essential pkg-config libev-dev liblmdb-dev libconfig-dev libssl-dev
       libunbound-dev libcurl4-openssl-dev libjansson-dev libidn2-dev
       libunistring-dev libncurses-dev libsystemd-dev libmicrohttpd-dev libpq-dev uthash-dev python3"
test="libcriterion-dev cppcheck clang-tidy clang-format swaks nsd ldnsutils lmdb-utils openssl
      dns-root-data
      debhelper mandoc python3-yaml python3-jsonschema tmux
      python3-pytest python3-aiosmtpd python3-dnspython python3-cryptography
      libnss-wrapper zsh libidn12 libgnutls-dane0 libnsl2 libdb5.3
      python3-pytest-timeout python3-pytest-xdist iproute2 prometheus postgresql-15"

missing() {
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || printf '%s ' "$p"
	done
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "deps: need root or sudo to install: $want" >&2
		exit 1
	fi
}

# Nothing that gets installed may start serving: packages ask this file.
quiet_install() {
	made=
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
		as_root chmod 755 /usr/sbin/policy-rc.d
		made=yes
	fi
	status=0
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
		--no-install-recommends "$@" >/dev/null || status=$?
	[ -z "$made" ] || as_root rm -f /usr/sbin/policy-rc.d
	return $status
}

case "${1:-test}" in
build) want=$(missing $build) ;;
mirror) want=$(missing $build postgresql-15) ;;
deb) want=$(missing $build dpkg-dev debhelper) ;;
package) want=$(missing $build dpkg-dev debhelper debootstrap lintian) ;;
fuzz) want=$(missing $build clang libclang-rt-14-dev) ;;
test)
	want=$(missing $build $test)
	# Postfix would push out another mail server that is in use here.
	if [ -z "$(missing postfix)" ]; then
		:
	elif dpkg-query -W -f '${Provides} ${Status}\n' 2>/dev/null |
		grep 'mail-transport-agent.*ok installed' >/dev/null; then
		echo "deps: another mail server is installed: Postfix is left out," \
			"the tests that need it are skipped" >&2
	else
		want="$want postfix"
	fi
	;;
*)
	echo "usage: $0 build|mirror|deb|package|test|fuzz" >&2
	exit 2
	;;
esac

[ -z "$(printf %s "$want" | tr -d ' ')" ] && exit 0
echo "deps: installing $want"
as_root apt-get update -qq
# shellcheck disable=SC2086
quiet_install $want
