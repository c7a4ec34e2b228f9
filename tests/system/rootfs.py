"""A copy of this machine's root that a test may change: an overlay in a mount
namespace of its own, with nothing mounted below it but /dev.  In particular
there is no /proc in it, and no systemd."""

import os
import pathlib
import subprocess

ENTER = """
mount --make-rprivate / && mount -t tmpfs none "$1" &&
mkdir "$1/upper" "$1/work" "$1/root" &&
mount -t overlay overlay "$1/root" \
    -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" &&
mount --rbind /dev "$1/root/dev" || exit 1
echo ready
exec cat
"""


class RootFs:
    def __init__(self, folder):
        """OSError where the kernel or our rights do not permit it."""
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", ENTER, "sh", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise OSError(self.holder.communicate()[1])

    def close(self):
        self.holder.communicate()

    def _inside(self, *command, **options):
        return subprocess.run(
            ["nsenter", "-t", str(self.holder.pid), "-m", *command],
            text=True, stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
            **options)

    def run(self, script):
        """Run a shell script in it as root: (status, output)."""
        done = self._inside(
            "chroot", str(self.root), "sh", "-c", script,
            env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
        return done.returncode, done.stdout

    def ok(self, script):
        status, output = self.run(script)
        assert status == 0, output
        return output

    def put(self, path, content, mode=0o644):
        """Make a file of it, from text or from a file of this machine."""
        target = f"{self.root}{path}"
        if isinstance(content, pathlib.Path):
            content = content.read_bytes()
        else:
            content = content.encode()
        subprocess.run(
            ["nsenter", "-t", str(self.holder.pid), "-m", "sh", "-c",
             'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"', "sh",
             target, oct(mode)[2:]], input=content, check=True)
