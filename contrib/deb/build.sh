#!/bin/sh
# Make a Debian package of what `make install` puts below DESTDIR.
#   build.sh VERSION OUTPUT-FOLDER
set -eu
version=$1 out=$2
here=$(dirname "$0")
arch=$(dpkg --print-architecture)
root=$out/root

rm -rf "$out"
mkdir -p "$out/debian" "$root/DEBIAN"
# Debian's own places: /lib/systemd and friends come from PREFIX=/usr.
make --no-print-directory install DESTDIR="$(realpath "$root")" PREFIX=/usr \
	>/dev/null
strip "$root/usr/sbin/mx20d" "$root/usr/bin/mx20ctl"
gzip -9n "$root"/usr/share/man/man*/*
install -D -m 644 README.md "$root/usr/share/doc/mx20/README.md"
{
	cat "$here/copyright"
	sed -n -e '/^Redistribution/,$!d' -e 's/^$/./' -e 's/^/ /p' LICENSE
} >"$root/usr/share/doc/mx20/copyright"

# dpkg-shlibdeps wants a source package to stand in.
printf 'Source: mx20\n\nPackage: mx20\nArchitecture: any\n' >"$out/debian/control"
depends=$(cd "$out" && dpkg-shlibdeps -O root/usr/sbin/mx20d root/usr/bin/mx20ctl |
	sed -n 's/^shlibs:Depends=//p')

sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@DEPENDS@/$depends/" \
	-e "s/@SIZE@/$(du -sk "$root/usr" | cut -f1)/" \
	"$here/control" >"$root/DEBIAN/control"
(cd "$root" && find etc -type f | sed 's|^|/|' | sort) >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
	install -m 755 "$here/$script" "$root/DEBIAN/$script"
done
dpkg-deb --root-owner-group --build "$root" "$out/mx20_${version}_$arch.deb"
