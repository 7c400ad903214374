"""Runs a node under mixed load for a while, and holds the slope of its memory, descriptors and threads to nothing.

    ./dev soak [--minutes N]

Checks, batches, reports, events, explanations, exports, watches that come and go, connections that break off, requests
that cannot be read, an access file that changes. Every few seconds memory, open descriptors and threads are read
from /proc; a line is laid through those behind the first third, in which caches fill and pools grow. Exit code 1 where
it rises by more than measuring noise. Memory is the process's own (RssAnon): the store, whose log of events grows, is
mapped from its file.
"""

import argparse
import itertools
import os
import pathlib
import random
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from harness import admin_pb2, check_pb2  # noqa: E402
import grpc  # noqa: E402

SAMPLE_SECONDS = 5
# What a line may rise by over the whole run and still be noise: of the allocator's arenas, of calls under way.
NOISE = {"memory_kib": 4096, "fds": 3, "threads": 3}
ACCOUNTS = 200


class Load:
    """Threads that each do one kind of thing over and over, until told to stop."""

    def __init__(self, node):
        self.node = node
        self.counts = {}
        self.failures = []
        self._stop = threading.Event()
        self._threads = []

    def start(self):
        for work, pause in ((self.checks, 0.002), (self.batches, 0.02), (self.reports, 0.02), (self.events, 0.02),
                            (self.questions, 0.1), (self.exports, 2), (self.watches, 0.5), (self.breaks, 0.2),
                            (self.unreadable, 0.2), (self.scrapes, 1), (self.access, 3)):
            thread = threading.Thread(target=self._run, args=(work, pause), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, work, pause):
        name = work.__name__
        generator = work(random.Random(name))
        while not self._stop.is_set():
            try:
                next(generator)
                self.counts[name] = self.counts.get(name, 0) + 1
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(f"{name}: {error!r}")
                return
            self._stop.wait(pause)  # the load's own pace

    @staticmethod
    def request(rng):
        return harness.download(bucket=rng.choice(["b1", "b2", "b9"]), key=f"k-{rng.randrange(10**6)}",
                                requester=f"u-{rng.randrange(ACCOUNTS)}", client_ip=f"192.0.2.{rng.randrange(256)}")

    def checks(self, rng):
        stub = self.node.enforcement()
        while True:
            stub.Check(self.request(rng), timeout=60)
            yield

    def batches(self, rng):
        stub = self.node.enforcement()
        while True:
            stub.CheckBatch(check_pb2.CheckBatchRequest(requests=[self.request(rng) for _ in range(50)]), timeout=60)
            yield

    def reports(self, rng):
        stub = self.node.enforcement()
        while True:
            usage = check_pb2.Usage(bucket="b1", bytes_out=rng.randrange(10**6))
            stub.Report(check_pb2.ReportRequest(usages=[usage], report_id=f"r-{rng.random()}"), timeout=60)
            yield

    def events(self, rng):
        """The policy stays as large as it becomes at the start: what an account lived through is kept for good, so that only
        the first events are of accounts, and all others of flags that are raised anew."""
        stub = self.node.admin()
        for number in itertools.count():
            flag = harness.raise_flag(f"f-{rng.randrange(ACCOUNTS)}", "b1", key=f"k-{rng.randrange(ACCOUNTS)}")
            events = [flag]
            if number < 2 * ACCOUNTS:
                change = harness.freeze if number < ACCOUNTS else harness.unfreeze
                events.append(change(f"u-{number % ACCOUNTS}", source="soak"))
            stub.Apply(admin_pb2.ApplyRequest(events=events), timeout=60)
            yield

    def questions(self, rng):
        stub = self.node.admin()
        while True:
            stub.Explain(admin_pb2.ExplainRequest(request=self.request(rng)), timeout=60)
            stub.List(admin_pb2.ListRequest(kind="flags", page_size=50), timeout=60)
            yield

    def exports(self, _):
        stub = self.node.admin()  # one connection: a node keeps those that are open, and their buffers
        while True:
            for _chunk in stub.Export(admin_pb2.ExportRequest(), timeout=60):
                pass
            yield

    def watches(self, _):
        stub = self.node.admin()
        while True:
            watch = stub.Watch(admin_pb2.WatchRequest())
            watch.initial_metadata()
            watch.cancel()
            yield

    def breaks(self, rng):
        """Connections that end in the middle of something, or say nothing."""
        while True:
            for address in (self.node.check_address, self.node.admin_address):
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(address[len("unix:"):])
                    connection.sendall(rng.choice([b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n", os.urandom(50)]))
            yield

    def unreadable(self, _):
        channel = self.node.channel(self.node.check_address)
        call = channel.unary_unary("/sluice.v1.Enforcement/Check")
        while True:
            try:
                call(b"\xff\xff\xff", timeout=60)
            except grpc.RpcError:
                pass
            yield

    def scrapes(self, _):
        while True:
            self.node.http_get("/metrics")
            yield

    def access(self, _):
        path = self.node.folder / "access.yaml"
        while True:
            part = path.with_suffix(".part")
            part.write_text(ACCESS, encoding="utf-8")
            part.chmod(0o600)
            part.rename(path)
            yield


ACCESS = f"callers:\n- {{name: soak, uid: {os.geteuid()}, roles: all, reads: [policy, log], imports: true}}\n"


def sample(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        values = dict(line.split(":", 1) for line in status)
    return {"memory_kib": int(values["RssAnon"].split()[0]), "threads": int(values["Threads"]),
            "fds": len(os.listdir(f"/proc/{pid}/fd"))}


def rise(samples, name):
    """By how much the line through the samples rises from the first to the last of them."""
    times = [when for when, _ in samples]
    values = [value[name] for _, value in samples]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((when - middle) ** 2 for when in times)
    slope = sum((when - middle) * (value - mean) for when, value in zip(times, values)) / spread
    return slope * (times[-1] - times[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        folder = pathlib.Path(folder)
        access = folder / "access.yaml"
        access.write_text(ACCESS, encoding="utf-8")
        access.chmod(0o600)
        node = harness.Node(folder, "--admin-access", str(access))
        node.start()
        node.apply(*harness.standard_policy())
        load = Load(node)
        load.start()
        samples, began = [], time.monotonic()
        while time.monotonic() - began < arguments.minutes * 60:
            time.sleep(SAMPLE_SECONDS)
            samples.append((time.monotonic() - began, sample(node.process.pid)))
        load.stop()
        settled = samples[len(samples) // 3:]
        failed = bool(load.failures)
        print("done:", ", ".join(f"{count:,} {name}" for name, count in sorted(load.counts.items())))
        for failure in load.failures:
            print(failure)
        minutes = (settled[-1][0] - settled[0][0]) / 60
        for name, noise in NOISE.items():
            risen = rise(settled, name)
            failed |= risen > noise
            print(f"{name}: first {samples[0][1][name]:,}, last {samples[-1][1][name]:,}, slope {risen / minutes:+.2f} a minute "
                  f"over the last {minutes:.0f} minutes ({risen:+.1f} in all, noise is {noise})")
        code = node.stop()
        failed |= code != 0
        print(f"exit code {code}; {'failed' if failed else 'passed'}")
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
