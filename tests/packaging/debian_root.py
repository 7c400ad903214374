"""A clean Debian in a folder, and systemd booted in it, in namespaces of its own. Needs root.

Nothing of it touches the machine: mounts, processes and the network live in namespaces that end with the booted systemd.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

# In the new mount namespace: what systemd wants to find, then systemd itself as process 1. Control groups are mounted
# anew, in a namespace whose root is where we are.
BOOT = """
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mkdir "$root/sys/fs/cgroup/unified" "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
# Nodes, not mounts: units with PrivateDevices= get copies of them.
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
# Not chroot: units get mount namespaces of their own, which cannot be made where the root is not that of the mounts.
cd "$root"
pivot_root . .
umount -l .
exec env -i container=sluice-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=no
"""


def run(*command, timeout=300, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          timeout=timeout, stdin=options.pop("stdin", subprocess.DEVNULL), **options)


def checked(*command, **options):
    result = run(*command, **options)
    if result.returncode != 0:
        raise AssertionError(f"{command}: exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def make(root, archive):
    """Lays a clean Debian with systemd at `root`; `archive` keeps it, for the next time."""
    if not archive.exists():
        checked("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv", "bookworm", root, timeout=600)
        part = archive.with_suffix(".part")
        checked("tar", "-C", root, "-cf", part, ".")
        os.rename(part, archive)
    else:
        root.mkdir(parents=True)
        checked("tar", "-C", root, "-xpf", archive)
    if pathlib.Path("/etc/resolv.conf").exists():
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")


class Booted:
    """systemd, running in `root` as long as the context lasts."""

    def __init__(self, root):
        self.root = root
        self.log = root.parent / "boot.log"

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.unshare = subprocess.Popen(
                ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net", "bash",
                 "-c", BOOT, "bash", str(self.root)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.await_output(["systemctl", "is-system-running"], "running")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.unshare.send_signal(signal.SIGKILL)  # its child, process 1 of the namespace, goes with it, and all below
        self.unshare.wait()

    def process_1(self):
        """The number that systemd has outside of its namespace."""
        deadline = time.monotonic() + 10
        while self.unshare.poll() is None and time.monotonic() < deadline:
            children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
            if children:
                return children[0]
            time.sleep(0.01)  # it was not forked yet
        raise AssertionError(f"systemd did not start:\n{self.log.read_text()}")

    def run(self, *command, **options):
        """Runs a command among those of the booted system."""
        return run("nsenter", "-a", "-r", "-w", "-t", self.process_1(), *command, **options)

    def checked(self, *command, **options):
        result = self.run(*command, **options)
        if result.returncode != 0:
            raise AssertionError(f"{command}: exit code {result.returncode}\n{result.stdout}\n{result.stderr}\n"
                                 f"{self.journal()}")
        return result.stdout

    def journal(self):
        return self.run("journalctl", "--no-pager", "-n", "40").stdout + self.log.read_text()[-4000:]

    def property(self, unit, name):
        return self.checked("systemctl", "show", "--value", "--property", name, unit).strip()

    def await_output(self, command, wanted, seconds=60):
        """Polls until the command prints `wanted`."""
        deadline = time.monotonic() + seconds
        while True:
            result = self.run(*command)
            if result.stdout.strip() == wanted:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{command}: wanted {wanted}, got {result.stdout}{result.stderr}\n{self.journal()}")
            time.sleep(0.1)
