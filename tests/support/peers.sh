#!/bin/sh
# Further real peers: their packages push Postfix and each other out, so they
# are only unpacked, below build/peers.  What they link to is installed by
# deps.sh.
#
#	peers.sh exim4-daemon-light opensmtpd
set -eu
cd "$(dirname "$0")/../.."
peers=build/peers

unpack() { # package program
	[ -x "$peers/$2" ] && return
	mkdir -p $peers/download
	# as root apt would hand the download to a user that may not write here
	if (cd $peers/download &&
		apt-get -qq -o APT::Sandbox::User=root download "$1"); then
		dpkg -x $peers/download/"$1"_*.deb $peers
		chmod 755 "$peers/$2" # no privileges but those it is started with
	else
		echo "peers: $1 cannot be had: what needs it is skipped" >&2
	fi
}

for package in "$@"; do
	case $package in
	exim4-daemon-light) unpack "$package" usr/sbin/exim4 ;;
	opensmtpd) unpack "$package" usr/sbin/smtpd ;;
	*) echo "peers: $package is not known" >&2 && exit 2 ;;
	esac
done
