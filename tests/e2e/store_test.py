"""The store from outside: one process at a time, versions, a full map, a full disk, folders that cannot be used."""

import contextlib
import hashlib
import os
import shutil
import struct
import subprocess

import grpc

import harness
import lmdb_edit
from harness import admin_pb2, check_pb2

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
FAILED = 1  # exit codes of sluiced
MISCONFIGURED = 2


def flag(number, note_bytes=0):
    return harness.raise_flag(f"f-{number}", "b1", key=f"k-{number}", note="n" * note_bytes)


@contextlib.contextmanager
def mounted(folder, options):
    """A tmpfs on `folder`, or None where this user may not mount."""
    folder.mkdir()
    mount = shutil.which("mount")
    result = subprocess.run([mount or "false", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False,
                            stderr=subprocess.DEVNULL)
    try:
        yield folder if result.returncode == 0 else None
    finally:
        if result.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


class StoreTest(harness.TestCase):

    def assert_refused(self, node, code, *pieces):
        """Starts `node`, which must end with `code` and one clear reason."""
        returned, text = node.run_to_end()
        self.assertEqual(returned, code, text)
        for piece in pieces:
            self.assertIn(piece, text)
        return text

    def assert_flags(self, node, numbers, wanted="DENY"):
        """That the flags of these numbers are in force, or that they are not."""
        numbers = list(numbers)
        stub = node.enforcement()
        for i in range(0, len(numbers), 1024):
            page = numbers[i:i + 1024]
            batch = check_pb2.CheckBatchRequest(requests=[harness.download(key=f"k-{number}") for number in page])
            responses = stub.CheckBatch(batch, timeout=harness.DEADLINE_SECONDS).responses
            for number, response in zip(page, responses):
                self.assertEqual(check_pb2.Verdict.Name(response.verdict), f"VERDICT_{wanted}", number)

    def fill(self, node, note_bytes, most=100_000):
        """Applies flags until the store takes no more. Returns the numbers acknowledged, and the error."""
        admin = node.admin()
        taken = []
        for number in range(most):
            try:
                response = admin.Apply(admin_pb2.ApplyRequest(events=[flag(number, note_bytes)]),
                                       timeout=harness.DEADLINE_SECONDS)
            except grpc.RpcError as error:
                return taken, error
            self.assertEqual(response.results[0].outcome, admin_pb2.OUTCOME_APPLIED)
            taken.append(number)
        self.fail(f"{most} events did not fill the store")

    def assert_stays_well_while_full(self, node, taken, note_bytes):
        """A store that is full answers checks, has lost nothing, and refuses again, clearly, all or nothing."""
        self.assertIsNone(node.process.poll(), node.log_text())
        self.assert_flags(node, taken)
        self.assert_flags(node, [len(taken)], "ALLOW")
        revision = node.export().revision
        big = [flag(f"x{i}", note_bytes) for i in range(400)]
        error = self.assert_rpc_error(
            EXHAUSTED, lambda: node.admin().Apply(admin_pb2.ApplyRequest(events=big), timeout=harness.DEADLINE_SECONDS))
        self.assertIn(str(node.store), error.details())
        self.assert_flags(node, [f"x{i}" for i in range(400)], "ALLOW")
        export = node.export()
        self.assertEqual(export.revision, revision)
        self.assertEqual({event.raise_flag.flag_id for event in export.events if event.HasField("raise_flag")},
                         {f"f-{number}" for number in taken})
        self.assertGreater(node.metric("sluice_commit_failures_total"), 0)

    # -- One at a time

    def test_a_second_process_on_the_same_store_is_refused_and_the_first_goes_on(self):
        first = self.node(name="first").start()
        first.apply(*harness.standard_policy(), flag(1))
        second = self.node(name="second", store=first.store)
        self.assert_refused(second, FAILED, str(first.store), str(first.process.pid), "store.path")
        self.assert_flags(first, [1])
        first.apply(flag(2))
        self.assertEqual(first.stop(), 0)
        second.start()
        self.assert_flags(second, [1, 2])

    def test_a_killed_process_leaves_no_lock_behind(self):
        node = self.node().start()
        node.apply(*harness.standard_policy(), flag(1))
        node.kill()
        node.start()
        self.assert_flags(node, [1])

    def test_a_second_process_on_the_same_sockets_is_refused_and_the_first_goes_on(self):
        first = self.node(name="first").start()
        first.apply(*harness.standard_policy(), flag(1))
        second = self.node(name="second")
        second.check_address = first.check_address
        self.assert_refused(second, FAILED, "listen.check", first.check_address[len("unix:"):])
        self.assert_flags(first, [1])

    # -- Versions and damage

    def test_a_store_of_a_newer_version_is_refused_and_left_alone(self):
        node = self.node().start()
        node.apply(*harness.standard_policy(), flag(1))
        self.assertEqual(node.stop(), 0)
        before = lmdb_edit.put(node.store, "meta", "format", struct.pack(">q", 1_000_000))
        digest = hashlib.sha256((node.store / "data.mdb").read_bytes()).hexdigest()
        self.assert_refused(node, FAILED, str(node.store), "newer version", "1000000", "this program knows")
        self.assertEqual(hashlib.sha256((node.store / "data.mdb").read_bytes()).hexdigest(), digest)
        # With its own program it is as it was.
        lmdb_edit.put(node.store, "meta", "format", before)
        node.start()
        self.assert_flags(node, [1])

    def test_a_file_that_is_no_store_is_refused_and_left_alone(self):
        for name, content in {"text": b"this is no database\n" * 1000, "zeros": bytes(65536), "short": b"x"}.items():
            with self.subTest(name):
                node = self.node(name=name)
                node.store.mkdir()
                (node.store / "data.mdb").write_bytes(content)
                self.assert_refused(node, FAILED, str(node.store))
                self.assertEqual((node.store / "data.mdb").read_bytes(), content)

    def test_a_store_cut_short_is_refused_and_not_served(self):
        node = self.node().start()
        for batch in range(20):
            node.apply(*[flag(f"{batch}-{i}", 2000) for i in range(100)])
        self.assertEqual(node.stop(), 0)
        data = node.store / "data.mdb"
        os.truncate(data, data.stat().st_size // 4)
        self.assert_refused(node, FAILED, str(node.store), "cut short")

    # -- Full

    def test_a_full_map_is_a_clear_error_loses_nothing_and_a_larger_bound_helps(self):
        node = self.node("--store-map-bytes", "1MiB").start()
        node.apply(*harness.standard_policy())
        taken, error = self.fill(node, 1000)
        self.assertEqual(error.code(), EXHAUSTED, error.details())
        for piece in (str(node.store), "--store-map-bytes"):
            self.assertIn(piece, error.details())
        self.assertGreater(len(taken), 10)
        self.assert_stays_well_while_full(node, taken, 1000)

        # Full, it opens and answers.
        node.kill()
        node.start()
        self.assert_flags(node, taken)
        self.assertEqual(node.stop(), 0)

        node.flags = ["--store-map-bytes", "16MiB"]
        node.start()
        self.assert_flags(node, taken)
        node.apply(*[flag(f"x{i}", 1000) for i in range(400)])
        self.assert_flags(node, taken + [f"x{i}" for i in range(400)])
        self.assertEqual(node.metric("sluice_store_bound_bytes"), 16 << 20)
        self.assertGreater(node.metric("sluice_store_bytes"), 1 << 20)

    def test_a_full_disk_is_a_clear_error_loses_nothing_and_room_helps_without_a_restart(self):
        with mounted(self.folder / "disk", "size=1m") as disk:
            if disk is None:
                self.skipTest("may not mount a small file system here")
            node = self.node(store=disk / "store").start()
            node.apply(*harness.standard_policy())
            taken, error = self.fill(node, 1000)
            self.assertEqual(error.code(), EXHAUSTED, error.details())
            self.assertIn(str(node.store), error.details())
            self.assertIn("disk", error.details())
            self.assertGreater(len(taken), 10)
            self.assert_stays_well_while_full(node, taken, 1000)
            # On a full disk it opens and answers, too.
            node.kill()
            node.start()
            self.assert_flags(node, taken)
            remount(disk, "size=32m")
            node.apply(*[flag(f"x{i}", 1000) for i in range(400)])
            node.kill()
            node.start()
            self.assert_flags(node, taken + [f"x{i}" for i in range(400)])
            self.assertEqual(node.stop(), 0)

    # -- Folders

    def test_a_store_folder_is_made_but_not_the_one_that_holds_it(self):
        node = self.node(store=self.folder / "made").start()
        self.assertTrue((self.folder / "made" / "data.mdb").is_file())
        self.assertEqual((self.folder / "made").stat().st_mode & 0o777, 0o700)
        self.assertEqual(node.stop(), 0)
        missing = self.folder / "no" / "such"
        text = self.assert_refused(self.node(name="n", store=missing), MISCONFIGURED, str(missing), "--store-path")
        self.assertIn("No such file or directory", text)
        self.assertFalse(missing.parent.exists())

    def test_a_store_path_that_is_a_file_is_refused(self):
        file = self.folder / "file"
        file.write_text("mine", encoding="utf-8")
        self.assert_refused(self.node(store=file), MISCONFIGURED, str(file), "--store-path")
        self.assertEqual(file.read_text(encoding="utf-8"), "mine")

    def test_a_folder_that_cannot_be_written_is_refused(self):
        if os.geteuid() != 0:
            folder = self.folder / "read-only"
            folder.mkdir(mode=0o500)
            self.assert_refused(self.node(store=folder), MISCONFIGURED, str(folder), "Permission denied")
            return
        with mounted(self.folder / "disk", "size=1m") as disk:
            if disk is None:
                self.skipTest("root, who may write anywhere, and may not mount a read-only file system here")
            remount(disk, "ro")
            self.assert_refused(self.node(name="a", store=disk), MISCONFIGURED, str(disk), "Read-only file system")
            inside = self.node(name="b", store=disk / "new")
            self.assert_refused(inside, MISCONFIGURED, str(disk), "Read-only file system")


if __name__ == "__main__":
    harness.main()
