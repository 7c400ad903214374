"""nginx with libnginx-mod-rtmp and ffmpeg, from Debian's packages, with examples/nginx-rtmp: a stream is published and
played, its account is frozen, and both ends are cut at the next update."""

import os
import pathlib
import subprocess
import time
import unittest

import harness
from gateways import GatewayTestCase, find_program, free_port

MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


class NginxRtmpTest(GatewayTestCase):
    program = "nginx"

    def setUp(self):
        if find_program("ffmpeg") is None or not MODULE.exists():
            raise unittest.SkipTest("ffmpeg or libnginx-mod-rtmp is not installed")
        super().setUp()

    def serve(self, *more):
        config = self.example("nginx-rtmp/nginx.conf", [
            ("/run/nginx-rtmp-sluice.pid", self.folder / "nginx.pid"), ("127.0.0.1:1935", f"127.0.0.1:{self.port}"),
            ("127.0.0.1:7072", f"127.0.0.1:{free_port()}"), ("unix:/run/sluice/check.sock", self.sluice.check_address),
            ("application live", "application b1"), ("notify_update_timeout 10s", "notify_update_timeout 1s"), *more])
        self.run_gateway([find_program("nginx"), "-p", self.folder, "-c", config, "-g",
                          "daemon off; user root; master_process off;"])

    def ffmpeg(self, *arguments):
        process = subprocess.Popen(["ffmpeg", "-nostdin", "-loglevel", "error", *arguments],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def end():
            process.kill()
            process.wait()
            process.stderr.close()
        self.addCleanup(end)
        return process

    def publish(self, stream="s1"):
        return self.ffmpeg("-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10", "-c:v", "flv", "-f", "flv",
                           f"rtmp://127.0.0.1:{self.port}/b1/{stream}")

    def play(self, path):
        return self.ffmpeg("-i", f"rtmp://127.0.0.1:{self.port}/b1/s1", "-c", "copy", "-y", "-f", "flv", str(path))

    def await_played(self, publisher, recording):
        """A player of the publisher's stream, once it writes what it gets."""
        player = self.play(recording)

        def played():
            nonlocal player
            self.assertIsNone(publisher.poll(), "the publisher was refused")
            if player.poll() is not None:
                player = self.play(recording)  # came before the stream
            return recording.exists() and recording.stat().st_size > 4096
        harness.await_condition(played, "the stream is played")
        return player

    def test_published_played_frozen_and_cut(self):
        self.serve()
        publisher = self.publish()
        player = self.await_played(publisher, self.folder / "played.flv")
        self.sluice.apply(harness.freeze("u1"))
        started = time.monotonic()
        harness.await_condition(lambda: publisher.poll() is not None, "the publisher is cut")
        harness.await_condition(lambda: player.poll() is not None, "the player is cut")
        print(f"cut {time.monotonic() - started:.1f} s after the freeze, with an update each second")
        refused = self.publish()
        self.assertNotEqual(refused.wait(harness.DEADLINE_SECONDS), 0, "a frozen account publishes")
        self.assertNotEqual(self.play(os.devnull).wait(harness.DEADLINE_SECONDS), 0, "a frozen account is played")

    def test_sluice_stopped(self):
        """What begins is refused; what runs goes on, though it cannot be asked for again."""
        self.serve()
        publisher = self.publish()
        recording = self.folder / "played.flv"
        self.await_played(publisher, recording)
        self.sluice.stop()
        failed = self.gateway_log().count("connect() to unix")
        harness.await_condition(lambda: self.gateway_log().count("connect() to unix") >= failed + 4, "updates fail")
        size = recording.stat().st_size
        harness.await_condition(lambda: recording.stat().st_size > size, "the stream goes on")
        self.assertIsNone(publisher.poll())
        self.assertNotEqual(self.publish("s2").wait(harness.DEADLINE_SECONDS), 0, "a stream begins unasked")

    def test_sluice_stopped_open(self):
        self.serve(("#open: ", ""))
        self.sluice.stop()
        publisher = self.publish()
        self.await_played(publisher, self.folder / "played.flv")


if __name__ == "__main__":
    harness.main()
