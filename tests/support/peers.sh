#!/bin/sh
# Exim as a second real peer: its package pushes Postfix out, so it is only
# unpacked, below build/peers.  What it links to is installed by deps.sh.
set -eu
cd "$(dirname "$0")/../.."
peers=build/peers
[ -x $peers/usr/sbin/exim4 ] && exit 0

mkdir -p $peers/download
cd $peers/download
# as root apt would hand the download to a user that may not write here
if apt-get -qq -o APT::Sandbox::User=root download exim4-daemon-light; then
	dpkg -x exim4-daemon-light_*.deb ..
	chmod 755 ../usr/sbin/exim4 # no privileges but those it is started with
else
	echo "peers: Exim cannot be had: the tests that need it are skipped" >&2
fi
