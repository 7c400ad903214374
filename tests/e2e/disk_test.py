"""Disks that fail under a running node, on mounts of the test's own: full, read-only, a page that cannot be read.

Runs in a mount namespace of its own, so that nothing stays mounted whatever becomes of the test. Where this user may not
mount, the first two are skipped; fault_test.py still has each system call fail in turn.
"""

import os
import pathlib
import shutil
import struct
import subprocess
import sys

import grpc

import harness
from harness import check_pb2

OWN_MOUNTS = "SLUICE_OWN_MOUNTS"
FAILED = 1
PAGE = 4096
SUB_TABLE = 0x02


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding="utf-8", check=False)


class DiskTest(harness.TestCase):

    def mount(self, *arguments):
        """Mounts on a folder of its own and returns it; skips the test where that is not allowed."""
        if OWN_MOUNTS not in os.environ:
            self.skipTest("this user may not mount: no mount namespace of its own")
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        result = run("mount", *arguments, str(disk))
        if result.returncode != 0:
            self.skipTest(f"this user may not mount: {result.stdout.strip()}")
        self.addCleanup(run, "umount", "--lazy", str(disk))
        return disk

    def is_frozen(self, node, account):
        response = node.check(harness.download(requester=account, bucket="", key="", owner=account))
        return response.reason == check_pb2.REASON_ACCOUNT_FROZEN

    def freeze(self, node, account, refused_as):
        """Whether it was applied; else it was refused with one of these codes, and its message names the store."""
        try:
            node.apply(harness.freeze(account))
            return True
        except grpc.RpcError as error:
            self.assertIn(error.code(), refused_as, error.details())
            self.assertIn(str(node.store), error.details())
            return False

    def assert_answers(self, node, frozen, free):
        for account in frozen:
            self.assertTrue(self.is_frozen(node, account), f"{account} was acknowledged and is not there")
        for account in free:
            self.assertFalse(self.is_frozen(node, account), f"{account} was refused and is there")

    def test_a_full_disk_refuses_events_answers_checks_and_needs_no_restart(self):
        disk = self.mount("-t", "tmpfs", "-o", "size=24m", "none")
        node = self.node("--decision-log-sample", "1", store=disk / "store").start()
        node.apply(*harness.standard_policy())
        ballast = disk / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(PAGE))
            except OSError:
                pass
        frozen, refused = [], []
        for number in range(200):  # free pages of the store are used up first
            account = f"u-{number}"
            if self.freeze(node, account, (grpc.StatusCode.RESOURCE_EXHAUSTED,)):
                frozen.append(account)
            else:
                refused.append(account)
            if len(refused) == 5:
                break
        self.assertEqual(len(refused), 5, f"{len(frozen)} events fit on a full disk")
        self.assert_answers(node, frozen[-3:], refused)
        self.assertGreaterEqual(node.metric("sluice_commit_failures_total"), 5)
        self.assertEqual(node.http_get("/readyz")[0], 200)  # it answers from a policy, as before
        ballast.unlink()
        self.assertTrue(self.freeze(node, "u-after", ()))
        node.kill()
        node.start()
        self.assert_answers(node, [*frozen, "u-after"], refused)
        self.assert_exit(harness.run_ctl("store", "check", "--store", node.store), 0)

    def test_a_disk_that_becomes_read_only_refuses_events_and_answers_checks(self):
        image = self.folder / "disk.img"
        with open(image, "wb") as file:
            file.truncate(48 << 20)
        if shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            self.skipTest("no mkfs.ext4 here")
        self.assertEqual(run("/usr/sbin/mkfs.ext4", "-q", str(image)).returncode, 0)
        options = ("-t", "ext4", "-o", "loop,errors=remount-ro", str(image))
        disk = self.mount(*options)
        device = pathlib.Path(next(line.split()[0] for line in pathlib.Path("/proc/mounts").read_text(
            encoding="utf-8").splitlines() if line.split()[1] == str(disk))).name
        node = self.node(store=disk / "store").start()
        node.apply(*harness.standard_policy(), harness.freeze("u-1"))
        # What the kernel does at the first error of a disk: whoever has files open keeps them, and can write no more.
        pathlib.Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1", encoding="utf-8")
        codes = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED)
        refused = [f"u-{number}" for number in range(2, 6)]
        for account in refused:
            self.assertFalse(self.freeze(node, account, codes), "nothing can be written")
            self.assert_answers(node, ["u-1"], refused)
        self.assertGreaterEqual(node.metric("sluice_commit_failures_total"), 1)
        self.assertEqual(node.http_get("/readyz")[0], 200)
        node.kill()
        code, said = node.run_to_end()
        self.assertEqual(code, FAILED, said)
        self.assertIn(str(node.store), said)
        self.assertIn("Read-only file system", said)
        # The disk is well again.
        self.assertEqual(run("umount", str(disk)).returncode, 0)
        self.assertEqual(run("/usr/sbin/fsck.ext4", "-p", str(image)).returncode & ~3, 0)
        self.mount(*options)
        node.start()
        self.assert_answers(node, ["u-1"], refused)
        self.assertTrue(self.freeze(node, "u-2", ()))

    def test_a_page_that_cannot_be_read_is_its_own_reason_and_only_where_it_matters(self):
        for flags, verdict in (((), "DENY"), (("--failure-store-unreadable", "DOWNLOAD"), "ALLOW")):
            with self.subTest(flags=flags):
                node = self.node(*flags, name=verdict).start()
                node.apply(*harness.standard_policy(),
                           *(harness.raise_flag(f"f-{i}", "b1", key=f"flagged-{i}") for i in range(100)))
                flagged, other = harness.download(key="flagged-7"), harness.download(key="k1")
                self.assert_decision(node.check(flagged), "DENY", "CONTENT_PROHIBITED")
                with open(node.store / "data.mdb", "r+b", buffering=0) as file:
                    at = root_of(file, b"flagged") * PAGE + 10
                    kind = os.pread(file.fileno(), 2, at)
                    os.pwrite(file.fileno(), bytes(2), at)  # neither branch nor leaf
                    response = node.check(flagged)
                    self.assert_decision(response, verdict, "STORE_UNREADABLE")
                    self.assertEqual(response.fault, check_pb2.FAULT_PROVIDER if verdict == "DENY" else response.fault)
                    outcome = "DENIED" if verdict == "DENY" else "ALLOWED"
                    self.assertEqual(node.metric(
                        f'sluice_failure_policy_total{{reason="STORE_UNREADABLE",outcome="{outcome}"}}'), 1)
                    # What no rule on disk can bear on is decided as before.
                    self.assert_decision(node.check(other), "ALLOW")
                    self.assert_decision(node.check(harness.download(bucket="b9", requester="u2")), "ALLOW")
                    node.kill()
                    code, said = node.run_to_end()
                    self.assertEqual(code, FAILED, said)
                    self.assertIn(f"page {at // PAGE} of data.mdb", said)
                    self.assertIn("sluicectl store restore", said)
                    os.pwrite(file.fileno(), kind, at)
                node.start()
                self.assert_decision(node.check(flagged), "DENY", "CONTENT_PROHIBITED")

    def test_a_page_that_can_be_read_again_is_read_again(self):
        node = self.node().start()
        node.apply(*harness.standard_policy(), harness.raise_flag("f-1", "b1", key="k1"))
        with open(node.store / "data.mdb", "r+b", buffering=0) as file:
            at = root_of(file, b"flagged") * PAGE + 10
            kind = os.pread(file.fileno(), 2, at)
            os.pwrite(file.fileno(), bytes(2), at)
            self.assert_decision(node.check(harness.download()), "DENY", "STORE_UNREADABLE", "8.2")
            os.pwrite(file.fileno(), kind, at)
        self.assert_decision(node.check(harness.download()), "DENY", "CONTENT_PROHIBITED")


def root_of(file, table):
    """The root page of a table in an LMDB file of which the main table is one page (LMDB 0.9, 64 bit)."""
    def page(number):
        return os.pread(file.fileno(), PAGE, number * PAGE)

    # Of the two root pages that of the later transaction: magic, version, address, size, two tables, last page, transaction.
    metas = [struct.unpack_from("=IIQQ48s48sQQ", page(number), 16) for number in (0, 1)]
    main = max(metas, key=lambda meta: meta[7])[5]
    leaf = page(struct.unpack_from("=Q", main, 40)[0])
    lower = struct.unpack_from("=H", leaf, 12)[0]
    for at in struct.unpack_from(f"={(lower - 16) // 2}H", leaf, 16):
        flags, name_bytes = struct.unpack_from("=HH", leaf, at + 4)
        name = leaf[at + 8:at + 8 + name_bytes]
        if name == table and flags & SUB_TABLE:
            return struct.unpack_from("=Q", leaf, at + 8 + name_bytes + 40)[0]
    raise AssertionError(f"no table {table} in {file.name}")


if __name__ == "__main__":
    again = ["unshare", "--mount", "--propagation", "private"]
    if OWN_MOUNTS not in os.environ and run(*again, "true").returncode == 0:
        os.environ[OWN_MOUNTS] = "yes"
        os.execvp(again[0], [*again, sys.executable, *sys.argv])
    harness.main()
