"""Ceph RGW from Debian's packages (ceph-mon, ceph-osd with memstore, radosgw), with the settings of examples/ceph-rgw: every
kind of call allowed, and refused once the account is frozen. Takes half a minute; skipped where the packages are missing.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import subprocess
import time
import unittest
import urllib.parse
import uuid

import harness
from gateways import EXAMPLES, find_program, free_port, hanging

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph")
ACCESS_KEY, SECRET_KEY = "AKALICE", "RGW-SECRET-KEY-OF-ALICE"
STEP_SECONDS = 60


class CephRgwTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        missing = [name for name in PROGRAMS if find_program(name) is None]
        if missing:
            raise unittest.SkipTest(f"not installed: {', '.join(missing)}")
        self.hook_port, self.port, self.mon_port = free_port(), free_port(), free_port()
        token = self.folder / "token"
        token.write_text("change-me\n", encoding="utf-8")
        self.sluice = self.node("--doors-listen", f"127.0.0.1:{self.hook_port}",
                                "--doors-rgw-token-file", str(token), "--log-level", "debug").start()
        self.sluice.apply(harness.paid("alice"), harness.bind_bucket("bkt", "alice"))
        self.processes = []
        self.addCleanup(self.end)
        self.bring_up()

    # -- The cluster: one monitor, one OSD in memory, one gateway

    def run_step(self, *command):
        result = subprocess.run([str(each) for each in command], stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=STEP_SECONDS, encoding="utf-8", check=False)
        if result.returncode != 0:
            raise AssertionError(f"{command}: {result.stdout}{result.stderr}")
        return result.stdout

    def daemon(self, *command):
        with open(self.folder / "ceph.log", "ab") as log:
            process = subprocess.Popen([str(each) for each in command], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log)
        self.processes.append(process)
        return process

    def end(self):
        for process in reversed(self.processes):  # the gateway first: without its cluster it ignores SIGTERM
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def bring_up(self):
        root = pathlib.Path(self.folder) / f"ceph{len(os.listdir(self.folder))}"
        for name in ("mon", "osd", "run"):
            (root / name).mkdir(parents=True)
        fsid = str(uuid.uuid4())
        example = (EXAMPLES / "ceph-rgw" / "ceph.conf").read_text(encoding="utf-8")
        settings = example[example.index("[client.rgw]"):].replace("127.0.0.1:7070", f"127.0.0.1:{self.hook_port}")
        conf = root / "ceph.conf"
        conf.write_text(f"""[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{self.mon_port}
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_bind_msgr2 = false
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
run_dir = {root}/run
admin_socket = {root}/run/$name.$pid.asok
pid_file = {root}/run/$name.pid
log_file =
log_to_stderr = false
mon_data = {root}/mon
osd_data = {root}/osd
setuser_match_path =
{settings}
rgw_frontends = beast endpoint=127.0.0.1:{self.port} tcp_nodelay=1
rgw_enable_usage_log = false
""", encoding="utf-8")
        monmap = root / "monmap"
        self.run_step(find_program("monmaptool"), "--create", "--fsid", fsid, "--addv", "a",
                      f"[v1:127.0.0.1:{self.mon_port}]", monmap)
        self.run_step(find_program("ceph-mon"), "-c", conf, "--mkfs", "-i", "a", "--monmap", monmap)
        self.daemon(find_program("ceph-mon"), "-c", conf, "-i", "a", "-f")
        ceph = (find_program("ceph"), "-c", conf, "--connect-timeout", "20")
        osd = str(uuid.uuid4())
        self.await_monitor(ceph)
        self.run_step(*ceph, "osd", "new", osd, "0")
        self.run_step(find_program("ceph-osd"), "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.start_osd(conf, ceph)
        self.daemon(find_program("radosgw"), "-c", conf, "-n", "client.rgw", "-f")
        self.run_step(find_program("radosgw-admin"), "-c", conf, "-n", "client.rgw", "user", "create", "--uid=alice",
                      "--display-name=Alice", f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")

        def answers():
            if self.processes[-1].poll() is not None:
                raise AssertionError("radosgw ended:\n" + (self.folder / "ceph.log").read_text(errors="replace")[-3000:])
            try:
                return self.s3("GET", "/").status == 200
            except OSError:
                return False
        harness.await_condition(answers, "radosgw answers", seconds=120)

    def await_monitor(self, ceph):
        """A monitor listens before it can say which commands it has: until then it answers EPERM."""
        def answers():
            result = subprocess.run([str(each) for each in (*ceph, "mon", "stat")], stdin=subprocess.DEVNULL,
                                    capture_output=True, timeout=STEP_SECONDS, check=False)
            return result.returncode == 0
        harness.await_condition(answers, "the monitor answers")

    def start_osd(self, conf, ceph):
        """An OSD that speaks before it has learnt the name of the cluster is told "wrong fsid", and ends. As systemd would,
        start it again."""
        command = (find_program("ceph-osd"), "-c", conf, "-i", "0", "-f")
        osd = self.daemon(*command)

        def up():
            nonlocal osd
            if osd.poll() is not None:
                osd = self.daemon(*command)
            return json.loads(self.run_step(*ceph, "osd", "stat", "--format", "json"))["num_up_osds"] == 1
        harness.await_condition(up, "the OSD is up")

    # -- A client of S3, version 2 signatures

    def s3(self, method, target, body=b"", anonymous=False, headers=None):
        path, _, query = target.partition("?")
        signed = "&".join(each for each in sorted(query.split("&"))
                          if each.split("=")[0] in ("acl", "location", "uploads", "uploadId", "partNumber", "delete"))
        date = email.utils.formatdate(usegmt=True)
        amz = "".join(f"{name}:{value}\n" for name, value in sorted((headers or {}).items())
                      if name.startswith("x-amz-"))
        text = f"{method}\n\n\n{date}\n{amz}{path}{'?' + signed if signed else ''}"
        signature = base64.b64encode(hmac.new(SECRET_KEY.encode(), text.encode(), hashlib.sha1).digest()).decode()
        sent = {"Date": date, "Host": "127.0.0.1", **(headers or {})}
        if not anonymous:
            sent["Authorization"] = f"AWS {ACCESS_KEY}:{signature}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, body=body, headers=sent)
            response = connection.getresponse()
            response.text = response.read().decode()
            return response
        finally:
            connection.close()

    def assert_s3(self, status, *call, **options):
        response = self.s3(*call, **options)
        self.assertEqual(response.status, status, f"{call[:2]}: {response.text}")
        return response

    def test_every_kind_of_call_allowed_and_refused(self):
        self.assert_s3(200, "PUT", "/bkt")
        self.assert_s3(200, "PUT", "/bkt/dir/small.txt", b"hello", headers={"x-amz-acl": "public-read"})
        self.assertEqual(self.assert_s3(200, "GET", "/bkt/dir/small.txt").text, "hello")
        self.assertIn("small.txt", self.assert_s3(200, "GET", "/bkt?prefix=dir%2F").text)
        self.assertEqual(self.assert_s3(200, "GET", "/bkt/dir/small.txt", anonymous=True).text, "hello")
        upload = re.search("<UploadId>(.*)</UploadId>", self.assert_s3(200, "POST", "/bkt/parts?uploads").text)[1]
        quoted = urllib.parse.quote(upload, safe="~")
        etag = self.assert_s3(200, "PUT", f"/bkt/parts?partNumber=1&uploadId={upload}", b"part").headers["ETag"]
        self.assert_s3(200, "POST", f"/bkt/parts?uploadId={quoted}", (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>").encode())
        self.assert_s3(204, "DELETE", "/bkt/parts")

        self.sluice.apply(harness.raise_flag("f1", "bkt", "dir/small.txt", category="3.1.3.5.4"))
        self.assertIn("AccessDenied", self.assert_s3(403, "GET", "/bkt/dir/small.txt").text)
        self.assert_s3(403, "GET", "/bkt/dir/small.txt", anonymous=True)
        self.assert_s3(200, "PUT", "/bkt/clean.txt", b"clean")

        self.sluice.apply(harness.freeze("alice"))
        self.assert_s3(403, "PUT", "/bkt/new", b"x")
        self.assert_s3(403, "GET", "/bkt/clean.txt")
        self.assert_s3(403, "GET", "/bkt?prefix=x")
        self.assert_s3(403, "POST", "/bkt/parts?uploads")
        self.assert_s3(403, "DELETE", "/bkt/clean.txt")
        self.assert_s3(200, "GET", "/bkt?location")  # reading configuration stays open
        self.sluice.apply(harness.unfreeze("alice"))
        self.assert_s3(204, "DELETE", "/bkt/clean.txt")
        self.assert_secrets_are_dropped()
        self.assert_bounded_when_sluice_hangs()
        self.assert_closed_when_sluice_is_away()

    def assert_secrets_are_dropped(self):
        decisions = str(list(self.sluice.decision_log().Query(harness.admin_pb2.LogQuery(), timeout=30)))
        self.assertIn("alice", decisions)
        seen = decisions + self.sluice.http_get("/metrics")[1] + self.sluice.log_text()
        for secret in (SECRET_KEY, ACCESS_KEY, "change-me"):
            self.assertNotIn(secret, seen)

    def assert_bounded_when_sluice_hangs(self):
        self.assert_s3(200, "PUT", "/bkt/other.txt", b"hello")
        started = time.monotonic()
        with hanging(self.sluice):
            self.assert_s3(500, "GET", "/bkt/other.txt")
        seconds = time.monotonic() - started
        print(f"a hung Sluice held a client up for {seconds:.2f} s")
        self.assertLess(seconds, 15)
        self.assert_s3(200, "GET", "/bkt/other.txt")

    def assert_closed_when_sluice_is_away(self):
        self.sluice.stop()
        started = time.monotonic()
        self.assert_s3(500, "GET", "/bkt/dir/small.txt")
        self.assertLess(time.monotonic() - started, 10)
        self.assertIsNone(self.processes[-1].poll(), "radosgw outlives all of this")


if __name__ == "__main__":
    harness.main()
