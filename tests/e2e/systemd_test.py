"""sluiced under a service manager: what it tells systemd, and the sockets that systemd hands over."""

import fcntl
import os
import signal
import socket

import harness

STOPPED, MISCONFIGURED = 0, 2


class Manager:
    """The end of the protocol that systemd has: a datagram socket for what the service says."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(harness.DEADLINE_SECONDS)

    def close(self):
        self.socket.close()

    def next(self):
        """The next message, as a dictionary of its lines."""
        message = self.socket.recv(4096).decode("utf-8")
        return dict(line.split("=", 1) for line in message.splitlines())

    def await_message(self, name):
        """The next message that has a line `name`; the others before it are skipped."""
        while True:
            message = self.next()
            if name in message:
                return message


class SystemdTest(harness.TestCase):

    def managed(self, *flags, environment=None, sockets=()):
        """A node with a manager. `sockets` are pairs of a name and a socket, handed over from descriptor 3 on."""
        node = self.node(*flags)
        manager = Manager(self.folder / "notify.sock")
        self.addCleanup(manager.close)
        variables = {"NOTIFY_SOCKET": manager.path, **(environment or {})}
        redirections = []
        for place, (_, handed) in enumerate(sockets, 3):
            # Out of the way of the places that they are to have.
            high = fcntl.fcntl(handed.fileno(), fcntl.F_DUPFD, 50)
            self.addCleanup(os.close, high)
            node.pass_fds = (*node.pass_fds, high)
            redirections.append(f"{place}<&{high} {high}<&-")
        if sockets:
            variables["LISTEN_FDS"] = str(len(sockets))
            variables.setdefault("LISTEN_FDNAMES", ":".join(name for name, _ in sockets))
        command = node.command
        # A shell, because $LISTEN_PID is the number of a process that is not there yet.
        script = f'export LISTEN_PID=${{PID:-$$}}; exec "$@" {" ".join(redirections)}'
        node.command = lambda *more: ["env", *(f"{name}={value}" for name, value in variables.items()), "bash", "-c",
                                      script, "bash", *command(*more)]
        return node, manager

    def listening(self, path):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(str(path))
        made.listen(16)
        self.addCleanup(made.close)
        return made

    def ask_at(self, node, check, admin):
        """Has `node`, by its flags, and its stubs use these sockets."""
        node.check_address, node.admin_address = f"unix:{check}", f"unix:{admin}"

    # -- What the manager is told

    def test_ready_comes_when_the_sockets_answer_and_stopping_at_the_end(self):
        node, manager = self.managed()
        node.spawn()
        ready = manager.next()
        self.assertEqual(ready["READY"], "1")
        self.assertIn("no policy yet", ready["STATUS"])
        node.apply(*harness.standard_policy())  # connects at once
        self.assertEqual(manager.next(), {"STATUS": "ready"})
        node.close_channels()
        node.terminate()
        self.assertEqual(manager.await_message("STOPPING")["STOPPING"], "1")
        self.assertEqual(node.wait(), STOPPED)

    def test_a_node_that_cannot_start_never_says_ready(self):
        node, manager = self.managed("--pack", "/no/such/pack.yaml")
        code, _ = node.run_to_end()
        self.assertEqual(code, MISCONFIGURED)
        manager.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            manager.next()

    def test_the_watchdog_is_fed_in_half_its_time(self):
        node, manager = self.managed(environment={"WATCHDOG_USEC": "40000"})
        node.spawn()
        manager.await_message("READY")
        for _ in range(3):
            self.assertEqual(manager.await_message("WATCHDOG"), {"WATCHDOG": "1"})
        self.assertEqual(node.stop(), STOPPED)

    def test_a_watchdog_that_watches_another_process_is_not_fed(self):
        node, manager = self.managed(environment={"WATCHDOG_USEC": "40000", "WATCHDOG_PID": "1"})
        node.spawn()
        manager.await_message("READY")
        node.apply(*harness.standard_policy())
        self.assertEqual(manager.next(), {"STATUS": "ready"})  # up to a second later, and nothing in between

    def test_unusable_variables_are_refused_by_name(self):
        for name, value in (("NOTIFY_SOCKET", "notify.sock"), ("WATCHDOG_USEC", "soon"), ("WATCHDOG_USEC", "0")):
            with self.subTest(name):
                node = self.node()
                command = node.command
                node.command = lambda *more: ["env", f"NOTIFY_SOCKET={self.folder}/n.sock", f"{name}={value}",
                                              *command(*more)]
                code, said = node.run_to_end()
                self.assertEqual(code, MISCONFIGURED)
                self.assertIn(f"${name}", said)
                self.assertIn(f"'{value}'", said)

    # -- Reload

    def test_hangup_reads_the_configuration_again(self):
        path = self.folder / "sluiced.yaml"
        path.write_text("log:\n  level: info\n", encoding="utf-8")
        node, manager = self.managed("--config", str(path))
        node.start()
        manager.await_message("READY")
        path.write_text("log:\n  level: warning\nthreads: 3\n", encoding="utf-8")
        node.process.send_signal(signal.SIGHUP)
        reloading = manager.await_message("RELOADING")
        self.assertGreater(int(reloading["MONOTONIC_USEC"]), 0)
        manager.await_message("READY")
        self.assertEqual(node.record("configuration read")["needs_restart"], "threads")
        path.write_text("log:\n  level: loud\n", encoding="utf-8")
        node.process.send_signal(signal.SIGHUP)
        manager.await_message("RELOADING")
        manager.await_message("READY")
        record = node.record("configuration refused; the one before stays in force")
        self.assertIn("sluiced.yaml:2: log.level", record["error"])
        # From the first of the two on, INFO is not logged any more: the end is not told.
        self.assertEqual(node.stop(), STOPPED)
        self.assertIsNone(node.record("stopped"))

    # -- Sockets that are handed over

    def test_checks_and_administration_are_answered_on_inherited_sockets(self):
        check, admin = self.listening(self.folder / "c.sock"), self.listening(self.folder / "a.sock")
        node, manager = self.managed(sockets=[("check", check), ("admin", admin)])
        self.ask_at(node, self.folder / "c.sock", self.folder / "a.sock")
        # What connects before the node is there waits, and is answered.
        early = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(early.close)
        early.connect(str(self.folder / "c.sock"))
        node.spawn()
        manager.await_message("READY")
        node.apply(*harness.standard_policy())
        self.assert_decision(node.check(harness.download()), "ALLOW")
        self.assertTrue(node.serving())
        record = node.record("listening", **{"for": "checks"})
        self.assertEqual((record["address"], record["inherited"]), (node.check_address, True))
        early.settimeout(harness.DEADLINE_SECONDS)
        early.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        self.assertEqual(early.recv(9)[3], 4)  # SETTINGS

        # The sockets outlive the node: who connects while it is away is answered by the next one.
        self.assertEqual(node.stop(), STOPPED)
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(waiting.close)
        waiting.connect(str(self.folder / "c.sock"))
        node.spawn()
        manager.await_message("READY")
        waiting.settimeout(harness.DEADLINE_SECONDS)
        waiting.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        self.assertEqual(waiting.recv(9)[3], 4)
        self.assert_decision(node.check(harness.download()), "ALLOW")

    def test_tcp_sockets_are_taken_over_too(self):
        check = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(check.close)
        node, manager = self.managed(sockets=[("check", check)])
        node.check_address = f"127.0.0.1:{check.getsockname()[1]}"
        node.spawn()
        manager.await_message("READY")
        node.apply(*harness.standard_policy())
        self.assert_decision(node.check(harness.download()), "ALLOW")

    def test_unusable_sockets_are_refused(self):
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(plain.close)
        datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(datagrams.close)
        good = self.listening(self.folder / "good.sock")
        for name, sockets, piece in (("no such name", [("checks", good)], "'checks'"),
                                     ("twice", [("check", good), ("check", good)], "another one"),
                                     ("not listening", [("check", plain)], "something else"),
                                     ("datagrams", [("admin", datagrams)], "something else")):
            with self.subTest(name):
                node, manager = self.managed(sockets=sockets)
                code, said = node.run_to_end()
                manager.close()
                os.unlink(manager.path)
                self.assertEqual(code, MISCONFIGURED, said)
                self.assertIn("inherited sockets", said)
                self.assertIn(piece, said)

    def test_a_configured_address_must_be_that_of_the_socket(self):
        node, _ = self.managed(sockets=[("check", self.listening(self.folder / "good.sock"))])
        code, said = node.run_to_end()
        self.assertEqual(code, MISCONFIGURED)
        self.assertIn(f"--listen-check: listen.check: wanted unix:{self.folder}/good.sock", said)
        self.assertIn(f"got {node.check_address}", said)

    def test_sockets_meant_for_another_process_are_left_alone(self):
        good = self.listening(self.folder / "good.sock")
        node, _ = self.managed(sockets=[("check", good)], environment={"PID": "1"})
        node.start()
        self.assertEqual(node.record("listening", **{"for": "checks"})["inherited"], False)


if __name__ == "__main__":
    harness.main()
