"""Kills sluiced with SIGKILL a hundred times while events are applied: what was acknowledged is there after the
restart, and a request that was under way is there whole or not at all.

Each worker applies requests and remembers what it sent and what was acknowledged. A request has one event, or three
that belong together: two flags and a freeze. A kill comes once a random number of requests of the round is
acknowledged, so that it hits the server at work; some more come while the server is still starting. After each restart
the whole policy is read back through Export; the requests of the last round also through Describe, CheckBatch and, at
the end, List. What was under way is then sent again with the same event ids, as a caller would: it must be a duplicate
exactly where it is there.
"""

import collections
import os
import random
import threading
import time

import grpc

import harness
from harness import admin_pb2, check_pb2, policy_pb2

KILLS = int(os.environ.get("SLUICE_KILLS", "100"))
KILLS_WHILE_STARTING = KILLS // 10
WORKERS = 4
# Acknowledged requests of a round before its kill: at least one, so that each round gets somewhere.
ACKNOWLEDGED_MAX = 100
SEED = int(os.environ.get("SLUICE_SEED", random.SystemRandom().randrange(1 << 32)))

BUCKET = "b1"


class Request:
    """One ApplyRequest and what is known of it."""

    SHAPES = ("three events", "three events", "a flag", "a freeze")

    def __init__(self, name, shape):
        self.name = name
        self.flags = {"three events": [f"{name}-a", f"{name}-b"], "a flag": [f"{name}-a"], "a freeze": []}[shape]
        self.accounts = [] if shape == "a flag" else [f"u-{name}"]
        self.acknowledged = None  # its revision, once it is
        events = [
            harness.raise_flag(flag, BUCKET, key=f"k-{flag}", source="moderation", event_id=flag) for flag in self.flags
        ] + [harness.freeze(account, source="billing", event_id=account) for account in self.accounts]
        # The order within a request does not matter to what must hold.
        self.message = admin_pb2.ApplyRequest(events=events)

    def ids(self):
        return self.flags + self.accounts


class Round:
    """The requests of the workers between a start and a kill."""

    def __init__(self, target):
        self._lock = threading.Condition()
        self._target = target
        self.acknowledged = []
        self.in_flight = {}
        self.rejected = []
        self.ended = 0

    def sent(self, request):
        with self._lock:
            self.in_flight[request.name] = request

    def answered(self, request, response):
        outcomes = [result.outcome for result in response.results]
        with self._lock:
            del self.in_flight[request.name]
            if outcomes != [admin_pb2.OUTCOME_APPLIED] * len(request.ids()):
                self.rejected.append((request.name, str(response)))
            request.acknowledged = response.revision
            self.acknowledged.append(request)
            self._lock.notify_all()

    def worker_ended(self):
        with self._lock:
            self.ended += 1
            self._lock.notify_all()

    def await_target(self):
        with self._lock:
            return self._lock.wait_for(lambda: len(self.acknowledged) >= self._target or self.ended,
                                       harness.DEADLINE_SECONDS)


class KillTest(harness.TestCase):

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.server = self.node("--log-level", "warning")
        self.known = collections.OrderedDict()  # name -> Request that is there
        self.counts = collections.Counter()
        self.highest_revision = 0
        self.restart_seconds = []

    # -- The workers

    def names(self, number, worker):
        for i in range(1_000_000):
            yield f"r{number}w{worker}n{i}"

    def apply_one_by_one(self, round_, number, worker):
        stub = self.server.admin()
        generator = random.Random(SEED + number * WORKERS + worker)
        for name in self.names(number, worker):
            request = Request(name, generator.choice(Request.SHAPES))
            round_.sent(request)
            try:
                response = stub.Apply(request.message, timeout=harness.DEADLINE_SECONDS)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    round_.rejected.append((name, str(error)))
                return
            round_.answered(request, response)

    def apply_by_stream(self, round_, number, worker):
        """Pipelined: several requests are under way at the kill."""
        stub = self.server.admin()
        generator = random.Random(SEED + number * WORKERS + worker)
        sent = collections.deque()
        window = threading.Semaphore(8)
        over = threading.Event()

        def requests():
            for name in self.names(number, worker):
                if not window.acquire(timeout=harness.DEADLINE_SECONDS) or over.is_set():
                    return
                request = Request(name, generator.choice(Request.SHAPES))
                round_.sent(request)
                sent.append(request)
                yield request.message
        try:
            for response in stub.ApplyStream(requests(), timeout=harness.DEADLINE_SECONDS):
                round_.answered(sent.popleft(), response)
                window.release()
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                round_.rejected.append((number, str(error)))
        finally:
            over.set()
            window.release()

    def work(self, target, round_, number, worker):
        try:
            target(round_, number, worker)
        finally:
            round_.worker_ended()

    # -- One round

    def run_round(self, number):
        """Applies until the kill. Returns the requests that were under way."""
        round_ = Round(self.random.randint(1, ACKNOWLEDGED_MAX))
        # The last worker streams.
        targets = [self.apply_one_by_one] * (WORKERS - 1) + [self.apply_by_stream]
        threads = [threading.Thread(target=self.work, args=(target, round_, number, worker))
                   for worker, target in enumerate(targets)]
        for thread in threads:
            thread.start()
        reached = round_.await_target()
        self.assertIsNone(self.server.process.poll(), f"sluiced ended by itself:\n{self.server.log_text()}")
        self.server.kill()
        for thread in threads:
            thread.join(harness.DEADLINE_SECONDS)
            self.assertFalse(thread.is_alive(), "a worker did not notice the kill")
        self.assertTrue(reached and not round_.rejected, f"round {number}, seed {SEED}: {round_.rejected[:3]}")
        for request in round_.acknowledged:
            self.known[request.name] = request
            self.highest_revision = max(self.highest_revision, request.acknowledged)
        self.counts["kills"] += 1
        self.counts["kills with requests under way"] += 1 if round_.in_flight else 0
        self.counts["requests acknowledged"] += len(round_.acknowledged)
        self.counts["events acknowledged"] += sum(len(request.ids()) for request in round_.acknowledged)
        return round_.acknowledged, list(round_.in_flight.values())

    def kill_while_starting(self):
        self.server.spawn()
        # A random moment of the start, which takes some milliseconds. Any moment is right: nothing depends on it.
        deadline = time.monotonic() + self.random.random() * 0.03
        while time.monotonic() < deadline and self.server.process.poll() is None:
            pass
        self.server.kill()
        self.counts["kills while starting"] += 1

    def start(self):
        began = time.monotonic()
        self.server.start()
        self.restart_seconds.append(time.monotonic() - began)

    # -- What must hold

    def verify(self, acknowledged, in_flight):
        context = f"seed {SEED}, kill {self.counts['kills']}"
        export = self.server.export()
        self.assertGreaterEqual(export.revision, self.highest_revision, context)
        present = set()
        for event in export.events:
            change = event.WhichOneof("change")
            if change == "raise_flag":
                present.add(event.raise_flag.flag_id)
            elif change == "freeze":
                present.add(event.freeze.account)
            self.assertLessEqual(event.revision, export.revision, context)
        seen = {one.event_id for one in export.seen}
        self.assertEqual(len(seen), len(export.seen), context)
        # Both are written in one transaction: an event is there exactly where its id is.
        self.assertEqual(present, seen, context)

        for request in self.known.values():
            missing = [one for one in request.ids() if one not in present]
            self.assertEqual(missing, [], f"{context}: acknowledged and missing, of request {request.name}")
        survivors = []
        for request in in_flight:
            there = [one for one in request.ids() if one in present]
            self.assertIn(len(there), (0, len(request.ids())), f"{context}: half applied: {request.name}, {there}")
            if there:
                survivors.append(request)
        allowed = {one for request in list(self.known.values()) + in_flight for one in request.ids()}
        self.assertEqual(present - allowed, set(), f"{context}: there though never sent")
        self.verify_answers(acknowledged + survivors, [r for r in in_flight if r not in survivors], context)

        self.counts["requests under way at a kill"] += len(in_flight)
        self.counts["of those applied"] += len(survivors)
        return survivors

    def verify_answers(self, there, absent, context):
        """What the index in memory says, which was rebuilt from the store."""
        questions = []
        for request in there + absent:
            denied = request in there
            questions += [(harness.download(bucket=BUCKET, key=f"k-{flag}", owner="u-other", requester="u-other"),
                           denied, "CONTENT_PROHIBITED") for flag in request.flags]
            questions += [(check_pb2.CheckRequest(operation=check_pb2.OPERATION_LIST, owner=account, requester=account),
                           denied, "ACCOUNT_FROZEN") for account in request.accounts]
        stub = self.server.enforcement()
        for i in range(0, len(questions), 1024):
            page = questions[i:i + 1024]
            batch = check_pb2.CheckBatchRequest(requests=[question for question, _, _ in page])
            responses = stub.CheckBatch(batch, timeout=harness.DEADLINE_SECONDS).responses
            for (question, denied, reason), response in zip(page, responses):
                got = (check_pb2.Verdict.Name(response.verdict), check_pb2.Reason.Name(response.reason))
                if denied:
                    self.assertEqual(got, ("VERDICT_DENY", f"REASON_{reason}"), f"{context}: {question}")
                else:
                    self.assertNotEqual(got[1], f"REASON_{reason}", f"{context}: {question}")
                self.assertGreaterEqual(response.revision, self.highest_revision, context)
        frozen = [account for request in there for account in request.accounts]
        admin = self.server.admin()
        for account in self.random.sample(frozen, min(3, len(frozen))):
            request = admin_pb2.DescribeRequest(subject=policy_pb2.Subject(account=account))
            described = admin.Describe(request, timeout=harness.DEADLINE_SECONDS)
            self.assertEqual(described.state, policy_pb2.ACCOUNT_STATE_FROZEN, f"{context}: {account}")

    def send_again(self, in_flight, survivors):
        """What a caller does who got no answer."""
        admin = self.server.admin()
        for request in in_flight:
            wanted = admin_pb2.OUTCOME_DUPLICATE if request in survivors else admin_pb2.OUTCOME_APPLIED
            response = admin.Apply(request.message, timeout=harness.DEADLINE_SECONDS)
            outcomes = [result.outcome for result in response.results]
            self.assertEqual(outcomes, [wanted] * len(request.ids()), request.name)
            request.acknowledged = response.revision
            self.known[request.name] = request
            self.highest_revision = max(self.highest_revision, response.revision)

    def list_all(self, kind):
        admin = self.server.admin()
        items, token = [], ""
        while True:
            request = admin_pb2.ListRequest(kind=kind, page_size=1000, page_token=token)
            page = admin.List(request, timeout=harness.DEADLINE_SECONDS)
            items += page.items
            token = page.next_page_token
            if not token:
                return items

    # -- The test

    def test_no_acknowledged_event_is_lost_and_none_is_half_applied(self):
        began = time.monotonic()
        self.start()
        self.restart_seconds.clear()
        for number in range(KILLS):
            acknowledged, in_flight = self.run_round(number)
            if number % 10 == 9:
                self.kill_while_starting()
            self.start()
            survivors = self.verify(acknowledged, in_flight)
            self.send_again(in_flight, survivors)

        # Everything, once more, page by page.
        flags = {event.raise_flag.flag_id for event in self.list_all("flags")}
        self.assertEqual(flags, {flag for request in self.known.values() for flag in request.flags})
        # What hundred kills left behind is what a fresh node makes of its export.
        export = self.server.export()
        fresh = self.node(name="fresh").start()
        imported = fresh.admin().Import(iter([export]), timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(imported.revision, export.revision)
        self.assertEqual(fresh.export().SerializeToString(deterministic=True),
                         export.SerializeToString(deterministic=True))
        self.assertEqual(self.server.stop(), 0)

        self.assertEqual(self.counts["kills"], KILLS)
        # Else the kills missed what they are for.
        self.assertGreater(self.counts["kills with requests under way"], KILLS // 2)
        slowest = max(self.restart_seconds)
        print(f"\nseed {SEED}: " + ", ".join(f"{count} {name}" for name, count in self.counts.items()) +
              f"; restart at most {slowest:.2f} s, {time.monotonic() - began:.0f} s in all", flush=True)


if __name__ == "__main__":
    harness.main()
