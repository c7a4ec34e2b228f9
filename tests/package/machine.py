"""A Debian machine to install on: made by debootstrap from where this host's apt
gets its packages, changed in an overlay that is gone afterwards, first a plain
chroot (no /proc, no systemd), then booted: systemd as process 1, in namespaces
of its own, with nothing but a loopback."""

import os
import pathlib
import platform
import shutil
import subprocess
import time

# an overlay on the base, and what waits for a command: the namespace's holder
HOLD = r"""
mount --make-rprivate / && mount -t tmpfs none "$2" &&
mkdir "$2/upper" "$2/work" "$2/root" &&
mount -t overlay overlay "$2/root" \
    -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" &&
mount --rbind /dev "$2/root/dev" || exit 1
echo ready
exec cat
"""
# systemd finds what it looks for; what is the host's is there to read only
BOOT = r"""
set -e
ip link set lo up
mount -t proc proc "$1/proc"
mount --bind -o ro "$1/proc/sys" "$1/proc/sys"
mount -o remount,bind,ro "$1/proc/sys"
mount -t sysfs -o ro sysfs "$1/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$1/sys/fs/cgroup"
    mkdir "$1/sys/fs/cgroup/systemd" "$1/sys/fs/cgroup/unified"
    mount -t cgroup -o none,name=systemd cgroup "$1/sys/fs/cgroup/systemd"
    mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup/unified"
fi
mount -t tmpfs tmpfs "$1/run"
exec env -i container=chroot PATH=/usr/sbin:/usr/bin \
    chroot "$1" /lib/systemd/systemd --log-target=console
"""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def mirror(suite):
    """Where this host's apt has the suite from."""
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)",
         "Created-By: Packages"], check=True, capture_output=True,
        text=True).stdout.splitlines()
    return next(line.split()[1] for line in lines if line.split()[0] == suite)


def make_base(folder):
    """Debian as debootstrap makes it, once; a whole one is taken as it is."""
    if (folder / "made").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    subprocess.run(["debootstrap", "--variant=minbase", suite, str(folder),
                    mirror(suite)], check=True, stdout=subprocess.DEVNULL)
    # how this host's apt reaches it: proxies, what dates it believes
    dump = subprocess.run(["apt-config", "dump", "Acquire"], check=True,
                          capture_output=True, text=True).stdout
    (folder / "etc/apt/apt.conf.d/50host").write_text("".join(
        line + "\n" for line in dump.splitlines() if line.startswith(
            ("Acquire::http", "Acquire::Check", "Acquire::Force"))))
    (folder / "made").touch()


class Machine:
    def __init__(self, base, folder):
        """OSError where the kernel or our rights do not permit it."""
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        self.booted = None
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", HOLD, "sh", str(base), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise OSError(self.holder.communicate()[1])
        for name in ("resolv.conf", "hosts"):
            self.put(f"/etc/{name}", pathlib.Path(f"/etc/{name}").read_text())

    def close(self):
        if self.booted:
            self.booted.kill()  # and with process 1 everything in it
            self.booted.wait()
        self.holder.communicate()

    def enter(self, *command):
        """The words that run a command of the host's in its namespaces."""
        if self.booted:
            return ["nsenter", "-t", str(self._init()), "-m", "-p", "-n", "-C",
                    *command]
        return ["nsenter", "-t", str(self.holder.pid), "-m", *command]

    def beside(self, *command):
        """The words that run a command on the host, in the machine's network."""
        return ["nsenter", "-t", str(self._init()), "-n", *command]

    def run(self, script):
        """Run a shell script in it as root: (status, output)."""
        done = subprocess.run(
            self.enter("chroot", str(self.root), "sh", "-c", script),
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600,
            env={"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"})
        return done.returncode, done.stdout

    def ok(self, script):
        status, output = self.run(script)
        assert status == 0, f"{script}\n{output}"
        return output

    def put(self, path, content):
        """Make a file of it, from text or from a file of this machine."""
        if isinstance(content, pathlib.Path):
            content = content.read_bytes()
        else:
            content = content.encode()
        subprocess.run(
            ["nsenter", "-t", str(self.holder.pid), "-m", "sh", "-c",
             'cat >"$1"', "sh", f"{self.root}{path}"], input=content, check=True)

    def files(self):
        """Each file with its kind, mode and owner; not what apt, dpkg and
        systemd keep for themselves."""
        left_out = " -o ".join(f"-path {path}" for path in (
            "/dev", "/proc", "/sys", "/run", "/tmp", "/var/cache", "/var/log",
            "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd"))
        return set(self.ok(f"find / \\( {left_out} \\) -prune -o"
                           " -printf '%y %m %u %p\\n'").splitlines())

    # -- systemd -------------------------------------------------------------

    def boot(self):
        self.put("/etc/machine-id", "")
        self.booted = subprocess.Popen(
            ["nsenter", "-t", str(self.holder.pid), "-m", "unshare", "-n",
             "-p", "-f", "-C", "-m", "--kill-child", "sh", "-c", BOOT, "sh",
             str(self.root)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait("systemctl is-system-running --wait")

    def _init(self):
        """What is process 1 in there."""
        [child] = pathlib.Path(
            f"/proc/{self.booted.pid}/task/{self.booted.pid}/children"
        ).read_text().split()
        return int(child)

    def wait(self, script, patience=60):
        """Until the script succeeds; what it said."""
        said = ""
        for _ in range(patience * 5):
            try:
                status, said = self.run(script)
                if status == 0:
                    return said
            except (ValueError, OSError):  # not yet born
                pass
            time.sleep(0.2)
        raise AssertionError(f"{script}\n{said}")


def may_run():
    """Why not, or None."""
    if os.getuid() != 0:
        return "needs root, for namespaces"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed"
    return None
