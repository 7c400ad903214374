"""nginx with libnginx-mod-rtmp and ffmpeg, from Debian's packages, with examples/nginx-rtmp: a stream is published and
played, its account is frozen, and both ends are cut at the next update."""

import os
import pathlib
import subprocess
import time
import unittest

import harness
from gateways import GatewayTestCase, find_program

MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


class NginxRtmpTest(GatewayTestCase):
    program = "nginx"

    def setUp(self):
        if find_program("ffmpeg") is None or not MODULE.exists():
            raise unittest.SkipTest("ffmpeg or libnginx-mod-rtmp is not installed")
        super().setUp()
        config = self.example("nginx-rtmp/nginx.conf", [
            ("/run/nginx-rtmp-sluice.pid", self.folder / "nginx.pid"), ("127.0.0.1:1935", f"127.0.0.1:{self.port}"),
            ("127.0.0.1:7070", f"127.0.0.1:{self.http_port}"), ("application live", "application b1"),
            ("notify_update_timeout 10s", "notify_update_timeout 1s")])
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

    def publish(self, app="b1"):
        return self.ffmpeg("-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10", "-c:v", "flv", "-f", "flv",
                           f"rtmp://127.0.0.1:{self.port}/{app}/s1")

    def play(self, path):
        return self.ffmpeg("-i", f"rtmp://127.0.0.1:{self.port}/b1/s1", "-c", "copy", "-y", "-f", "flv", str(path))

    def test_published_played_frozen_and_cut(self):
        publisher = self.publish()
        recording = self.folder / "played.flv"

        def played():
            self.assertIsNone(publisher.poll(), "the publisher was refused")
            if player[0].poll() is not None:
                player[0] = self.play(recording)  # came before the stream
            return recording.exists() and recording.stat().st_size > 4096
        player = [self.play(recording)]
        harness.await_condition(played, "the stream is played")
        self.sluice.apply(harness.freeze("u1"))
        started = time.monotonic()
        harness.await_condition(lambda: publisher.poll() is not None, "the publisher is cut")
        harness.await_condition(lambda: player[0].poll() is not None, "the player is cut")
        print(f"cut {time.monotonic() - started:.1f} s after the freeze, with an update each second")
        refused = self.publish()
        self.assertNotEqual(refused.wait(harness.DEADLINE_SECONDS), 0, "a frozen account publishes")
        self.assertNotEqual(self.play(os.devnull).wait(harness.DEADLINE_SECONDS), 0, "a frozen account is played")


if __name__ == "__main__":
    harness.main()
