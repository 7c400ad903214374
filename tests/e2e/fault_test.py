"""Each system call on the store fails in turn: while the node starts, and while it commits.

What was acknowledged is there after a SIGKILL and a restart; what was refused is not; no check is answered wrongly
meanwhile; nothing crashes; and the message says which store, what failed and what to do. SLUICE_FAULTS=long tries every
call that a start makes, and more of those that a commit makes.
"""

import errno
import mmap
import os
import stat
import struct
import unittest

import grpc

import harness
from harness import admin_pb2

LONG = os.environ.get("SLUICE_FAULTS") == "long"
SHIM = harness.BIN / "libsluice_fault_shim.so"
CALLS = ["none", "pwrite", "pwritev", "write", "writev", "fsync", "fdatasync", "ftruncate", "open", "mmap", "pread",
         "flock", "rename", "link"]
FAILED = 1
HANG = -1  # in the place of an errno


class Faults:
    """The control file of fault_shim.c."""

    def __init__(self, path):
        path.write_bytes(bytes(64))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 64)

    def arm(self, call, after=0, error=errno.EIO, times=1):
        """The call fails with `error` once `after` of them have passed; 0 = half of it is written, HANG = it does not
        come back before `disarm`."""
        self._map[8:48] = struct.pack("=5q", after, error, times, 0, 0)
        self._map[0:8] = struct.pack("=q", CALLS.index(call))

    def disarm(self):
        self._map[0:8] = bytes(8)

    def failed(self):
        return struct.unpack("=q", self._map[40:48])[0]


class FaultTest(harness.TestCase):

    def faulty_node(self, *flags, folder=None):
        """Calls on files below `folder` can fail, by default those on the store."""
        node = self.node(*flags)
        faults = Faults(self.folder / "control")
        command = node.command
        node.command = lambda *more: ["env", f"LD_PRELOAD={SHIM}", f"SLUICE_FAULT_FOLDER={folder or node.store}",
                                      f"SLUICE_FAULT_CONTROL={self.folder / 'control'}", *command(*more)]
        return node, faults

    def is_frozen(self, node, account):
        response = node.check(harness.download(requester=account, bucket="", key="", owner=account))
        return harness.check_pb2.Reason.Name(response.reason) == "REASON_ACCOUNT_FROZEN"

    def assert_flagged(self, node):
        """b1/bad is flagged, and its flag is on disk alone; b1/k1 is not."""
        response = node.check(harness.download(bucket="b1", key="bad"))
        self.assertEqual(harness.check_pb2.Reason.Name(response.reason), "REASON_CONTENT_PROHIBITED")
        self.assertEqual(response.verdict, harness.check_pb2.VERDICT_DENY)
        self.assertEqual(node.check(harness.download(bucket="b1", key="k1")).verdict, harness.check_pb2.VERDICT_ALLOW)

    def assert_holds(self, node, acknowledged, refused):
        for account in acknowledged:
            self.assertTrue(self.is_frozen(node, account), f"{account} was acknowledged and is not there")
        for account in refused:
            self.assertFalse(self.is_frozen(node, account), f"{account} was refused and is there")

    def test_a_call_that_fails_while_a_commit_is_made_refuses_the_event_and_loses_nothing(self):
        node, faults = self.faulty_node()
        acknowledged, refused, hit = [], [], set()
        number = stopped = 0
        node.start()
        node.apply(*harness.standard_policy(), harness.raise_flag("f-1", "b1", "bad"))
        cases = [(call, error, after)
                 for call in ("pwrite", "pwritev", "write", "writev", "fdatasync", "fsync", "ftruncate")
                 for error in (errno.EIO, errno.ENOSPC, errno.EROFS, 0)
                 for after in range(4 if LONG else 2)
                 if error or "write" in call]
        for call, error, after in cases:
            faults.arm(call, after, error)
            for _ in range(3):
                number += 1
                account = f"u-{number}"
                try:
                    node.apply(harness.freeze(account))
                    acknowledged.append(account)
                except grpc.RpcError as refusal:
                    refused.append(account)
                    self.assertIn(refusal.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED,
                                                    grpc.StatusCode.PERMISSION_DENIED))
                    self.assertIn(str(node.store), refusal.details())
                self.assert_holds(node, acknowledged[-3:], refused[-3:])
                self.assert_flagged(node)
            if faults.failed():
                hit.add(call)
            faults.disarm()
            number += 1
            try:
                node.apply(harness.freeze(f"u-{number}"))
                acknowledged.append(f"u-{number}")
            except grpc.RpcError as refusal:
                # What LMDB cannot take back ends its writing until a restart, and says so.
                refused.append(f"u-{number}")
                self.assertIn("start", refusal.details())
                self.assert_holds(node, acknowledged, refused)
                self.assert_flagged(node)
                stopped += 1
                node.kill()
                node.start()
                self.assert_holds(node, acknowledged, refused)
        node.kill()
        node.start()
        self.assert_holds(node, acknowledged, refused)
        self.assertGreaterEqual(hit, {"pwrite", "fdatasync"}, "the calls that LMDB makes")
        self.assertGreater(stopped, 0, "the page that LMDB cannot take back")
        result = harness.run_ctl("store", "check", "--store", node.store)
        self.assert_exit(result, 0)
        print(f"\n{len(cases)} faults, {len(acknowledged)} acknowledged, {len(refused)} refused, "
              f"{stopped} times to be started again", flush=True)

    def test_a_disk_that_hangs_holds_up_neither_staleness_nor_revocation_nor_the_drain(self):
        me = f"name: me, uid: {os.geteuid()}, roles: [BILLING, STORAGE]"
        access = self.folder / "access.yaml"

        def write_access(*more):
            part = self.folder / "access.part"
            part.write_text(f"callers:\n- {{{', '.join((me, *more))}}}\n", encoding="utf-8")
            part.chmod(0o644)
            part.rename(access)
        write_access()
        node, faults = self.faulty_node("--policy-max-age", "1s", "--admin-access", str(access), "--drain", "60s")
        node.start()
        node.apply(*harness.standard_policy())
        faults.arm("fdatasync", error=HANG, times=-1)
        request = admin_pb2.ApplyRequest(events=[harness.freeze("u-1")])
        apply = node.admin().Apply.future(request, timeout=2 * harness.DEADLINE_SECONDS)
        harness.await_condition(faults.failed, "the disk hangs")
        harness.await_condition(lambda: node.http_get("/readyz")[1].startswith("stale"), "the policy is past its bound")
        self.assert_decision(node.check(harness.download()), "DENY", "STALE_POLICY")
        write_access("reads: [policy]")
        node.await_record("access file", in_force="as it is now")
        node.terminate()
        harness.await_condition(lambda: node.http_get("/readyz")[1].startswith("draining"), "the node drains")
        node.await_record("stopping")
        self.assertFalse(apply.done(), "what is not durable is not acknowledged")
        faults.disarm()
        self.assertEqual(apply.result().results[0].outcome, admin_pb2.OUTCOME_APPLIED)
        node.close_channels()
        self.assertEqual(node.wait(), 0)
        self.assertEqual(node.record("stopped")["revision"], 6)
        node.flags = []  # without a bound, so that the policy decides
        node.start()
        self.assert_holds(node, ["u-1"], [])

    def test_a_call_that_fails_at_the_start_ends_it_with_a_message_or_does_no_harm(self):
        node, faults = self.faulty_node()
        node.start()
        node.apply(*harness.standard_policy(), harness.freeze("u-1"))
        node.stop()
        tried = 0
        for call in ("open", "pread", "mmap", "flock", "pwrite", "write", "ftruncate"):
            for error in (errno.EIO, errno.EACCES, errno.ENOMEM) if LONG else (errno.EIO,):
                for after in range(1000):
                    if not LONG and after > 3:
                        break
                    faults.arm(call, after, error)
                    node.spawn()
                    harness.await_condition(lambda: node.process.poll() is not None or node.record("started"),
                                            "the node starts or ends")
                    failed = faults.failed()
                    faults.disarm()
                    tried += 1
                    if node.process.poll() is not None:
                        self.assertEqual(node.process.returncode, FAILED, (call, after, node.log_text()))
                        self.assertIn(str(node.store), node.record("cannot start")["error"])
                    else:
                        self.assert_holds(node, ["u-1"], ["u1"])
                        node.kill()
                    if not failed:
                        break
        node.start()
        self.assert_holds(node, ["u-1"], ["u1"])
        print(f"\n{tried} starts", flush=True)


    def test_a_segment_of_the_decision_log_whose_sync_failed_is_told_and_written_no_more(self):
        folder = self.folder / "decisions"
        node, faults = self.faulty_node("--decision-log-path", str(folder), folder=folder)
        node.start()
        node.apply(*harness.standard_policy(), harness.freeze("u2"))

        def deny(request_id):
            response = node.check(harness.download(requester="u2", bucket="b9", request_id=request_id))
            self.assert_decision(response, "DENY", "ACCOUNT_FROZEN")

        faults.arm("fdatasync")
        deny("before")
        first, second = folder / "0000000001.slog", folder / "0000000002.slog"
        node.await_record("decision log", text="the decision log may not outlast a loss of power: "
                                               f"cannot sync {first}: Input/output error")
        node.await_record("decision log", text="the decision log is synced again")
        self.assertEqual(node.metric("sluice_decision_log_write_failures_total"), 1)
        self.assertEqual(node.metric("sluice_decision_log_failing"), 0)
        left = first.read_bytes()
        deny("after")
        node.stop()
        self.assertEqual(first.read_bytes(), left)
        self.assertNotIn(b"SLUICEND", left)
        self.assertIn(b"SLUICEND", second.read_bytes())
        result = harness.run_ctl("log", "query", "--folder", folder)
        self.assert_exit(result, 0)
        self.assertEqual(result.stdout.count("ACCOUNT_FROZEN"), 2)
        result = harness.run_ctl("log", "verify", folder)
        self.assert_exit(result, 0)
        self.assertIn("unsynced segment=0000000001", result.stdout)


class BackupTest(harness.TestCase):

    def store(self, *arguments, code=0):
        result = harness.run_ctl("store", *arguments)
        self.assert_exit(result, code)
        return result

    def test_a_backup_is_made_while_the_node_commits_and_brings_it_back(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        stream = node.admin().ApplyStream(
            admin_pb2.ApplyRequest(events=[harness.freeze(f"u-{i}", event_id=f"e-{i}")]) for i in range(2000))
        answers = iter(stream)
        next(answers)
        copy = self.folder / "copy"
        result = self.store("backup", copy, "--store", node.store)
        self.assertIn("backed up: revision", result.stdout)
        last = max(response.revision for response in answers)
        # One committed state, whole: of a stream of events a prefix.
        revision = int(result.stdout.split("revision ")[1].split()[0])
        self.assertLessEqual(revision, last)
        self.assertEqual(sorted(path.name for path in copy.iterdir() if path.name != "lock.mdb"), ["data.mdb"])
        self.assertIn("there is a store at", self.store("restore", copy, "--store", node.store, code=1).stderr
                      if node.stop() == 0 else "")
        self.store("restore", copy, "--store", node.store, "--replace")
        self.assertTrue((node.store / "data.mdb.replaced").exists())
        node.start()
        self.assertEqual(node.export().revision, revision)
        # An event that was seen before the backup is a duplicate after it.
        response = node.admin().Apply(admin_pb2.ApplyRequest(events=[harness.freeze("u-0", event_id="e-0")]))
        self.assertEqual(response.results[0].outcome, admin_pb2.OUTCOME_DUPLICATE)

    def test_a_restore_that_is_cut_short_leaves_the_store_that_was_there(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        copy = self.folder / "copy"
        self.store("backup", copy, "--store", node.store)
        node.apply(harness.freeze("u-later"))
        node.stop()
        data = node.store / "data.mdb"
        later = data.read_bytes()
        faults = Faults(self.folder / "control")
        shim = {"LD_PRELOAD": str(SHIM), "SLUICE_FAULT_FOLDER": str(node.store),
                "SLUICE_FAULT_CONTROL": str(self.folder / "control")}
        for call in ("open", "write", "fsync", "flock", "link", "rename"):
            left = []
            for after in range(20):
                data.write_bytes(later)
                # No such call on the store succeeds any more from there on, as if it had ended.
                faults.arm(call, after, errno.EIO, times=-1)
                harness.run_ctl("store", "restore", copy, "--store", node.store, "--replace", environment=shim)
                failed = faults.failed()
                faults.disarm()
                if not failed:
                    break
                left.append(self.store("check", "--store", node.store).stdout.split("revision ")[1].split()[0])
            # First the old store, then the new one, whole, and nothing else in between.
            self.assertEqual(left, sorted(left, reverse=True), call)
            self.assertEqual(left[0], "6", call)
            self.assertLessEqual(set(left), {"5", "6"}, call)
        self.assertFalse((node.store / "data.mdb.part").exists())
        node.start()
        self.assertEqual(node.export().revision, 5)

    @unittest.skipUnless(os.geteuid() == 0, "only root gives files away")
    def test_what_root_makes_belongs_to_whom_the_store_belongs(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        node.stop()
        user, group = 54321, 54322
        home = self.folder / "home"
        home.mkdir()
        for path in (home, node.store, *node.store.iterdir()):
            os.chown(path, user, group)

        def assert_all_belong(folder):
            for path in (folder, *folder.iterdir()):
                info = path.lstat()
                self.assertEqual((info.st_uid, info.st_gid), (user, group), path)
                if path.is_file():
                    self.assertEqual(stat.S_IMODE(info.st_mode), 0o600, path)
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)

        def forget_locks():
            for name in ("lock.mdb", "lock.sluice"):
                (node.store / name).unlink(missing_ok=True)

        forget_locks()
        self.store("check", "--store", node.store)
        assert_all_belong(node.store)
        forget_locks()
        self.store("backup", home / "copy", "--store", node.store)
        assert_all_belong(node.store)
        assert_all_belong(home / "copy")
        forget_locks()
        self.store("restore", home / "copy", "--store", node.store, "--replace")
        self.assertTrue((node.store / "data.mdb.replaced").exists())
        assert_all_belong(node.store)
        self.store("restore", home / "copy", "--store", home / "new")
        self.store("check", "--store", home / "new")
        assert_all_belong(home / "new")
        # Root's own stay root's.
        self.store("backup", self.folder / "copy", "--store", node.store)
        self.assertEqual((self.folder / "copy" / "data.mdb").stat().st_uid, 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root writes to what is another's")
    def test_root_follows_no_link_out_of_another_users_store(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        copy = self.folder / "copy"
        self.store("backup", copy, "--store", node.store)
        node.stop()
        other = self.folder / "other"
        for name in ("lock.sluice", "data.mdb.part"):
            other.write_text("root's")
            (node.store / name).unlink(missing_ok=True)
            (node.store / name).symlink_to(other)
            harness.run_ctl("store", "restore", copy, "--store", node.store, "--replace")
            self.assertEqual(other.read_text(), "root's", name)
            (node.store / name).unlink(missing_ok=True)

    def test_a_store_in_use_is_checked_but_not_replaced(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        self.assertIn("sound: revision 5", self.store("check", "--store", node.store).stdout)
        copy = self.folder / "copy"
        self.store("backup", copy, "--store", node.store)
        self.assertIn("in use by process", self.store("restore", copy, "--store", node.store, "--replace", code=1).stderr)
        self.assertIn("File exists", self.store("backup", copy, "--store", node.store, code=1).stderr)
        self.store("check", "--store", self.folder / "none", code=2)

    def test_a_damaged_page_is_found_refused_and_never_a_crash(self):
        node = self.node().start()
        node.apply(*harness.standard_policy(), *(harness.freeze(f"u-{i}") for i in range(200)))
        copy = self.folder / "copy"
        self.store("backup", copy, "--store", node.store)
        node.stop()
        data = node.store / "data.mdb"
        whole = data.read_bytes()
        refusals = 0
        pages = len(whole) // 4096
        for page in range(pages) if LONG else range(0, pages, max(1, pages // 12)):
            damaged = bytearray(whole)
            for byte in range(page * 4096 + 8, page * 4096 + 48):
                damaged[byte] ^= 0xA5
            data.write_bytes(damaged)
            checked = harness.run_ctl("store", "check", "--store", node.store)
            self.assertIn(checked.returncode, (0, 2), checked.stderr)
            node.spawn()
            harness.await_condition(lambda: node.process.poll() is not None or node.record("started"),
                                    "the node starts or ends")
            if node.process.poll() is None:
                self.assertEqual(checked.returncode, 0, f"page {page} is damaged, and served")
                node.kill()
                continue
            self.assertEqual(node.process.returncode, FAILED, node.log_text())
            self.assertIn("data.mdb", node.record("cannot start")["error"])
            refusals += 1
        self.assertGreater(refusals, 3)
        self.store("restore", copy, "--store", node.store, "--replace")
        node.start()
        self.assertEqual(node.export().revision, 205)


if __name__ == "__main__":
    harness.main()
