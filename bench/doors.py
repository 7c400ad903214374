#!/usr/bin/env python3
"""Requests a second through the doors, by wrk and h2load, and of nginx with auth_request to Sluice against nginx without.

    bench/doors.py BIN [--seconds N] [--connections N]

BIN is the folder of sluiced and sluicectl (build/release/bin). Needs nginx, wrk and nghttp2-client from Debian's packages.
Everything runs on this machine and shares its cores, the load generator included: ratios say more than rates.
"""

import argparse
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROXY = """
location / {
    %s
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_pass http://storage;
}
"""
AUTH = """auth_request /_sluice;
    auth_request_set $sluice_status $upstream_http_x_sluice_status;
    auth_request_set $sluice_rate $upstream_http_x_sluice_rate;
    limit_rate $sluice_rate;"""
NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    upstream sluice {{ server unix:{folder}/check.sock; keepalive 64; keepalive_requests 1000000; }}
    upstream storage {{ server unix:{folder}/storage.sock; keepalive 64; keepalive_requests 1000000; }}
    server {{ listen unix:{folder}/storage.sock; location / {{ return 200 "{body}"; }} }}
    server {{ listen 127.0.0.1:{plain}; {without} }}
    server {{
        listen 127.0.0.1:{asked};
        {with_auth}
        location = /_sluice {{
            internal;
            proxy_pass http://sluice/nginx/cdn;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header X-Original-URI $request_uri;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Original-Host $host;
            proxy_set_header X-Real-IP $remote_addr;
        }}
    }}
}}
"""
POLICY = """
- paid: {account: u1}
- bind_bucket: {bucket: b1, account: u1, region: cn}
- bind_domain: {host: www.example.cn, account: u1, bucket: b1, geo: FOREIGN}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"doors.py: nothing listens on port {port}")


def run(*command, **options):
    result = subprocess.run([str(each) for each in command], capture_output=True, encoding="utf-8", check=False, **options)
    if result.returncode != 0:
        sys.exit(f"doors.py: {' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout


class Load:
    """wrk's answer: requests a second and the 99th percentile."""

    def __init__(self, options, url, script=None, headers=()):
        command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency"]
        for header in headers:
            command += ["-H", header]
        if script:
            command += ["-s", script]
        text = run(*command, url)
        if "Non-2xx" in text:
            sys.exit(f"doors.py: {url} was refused:\n{text}")
        self.rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
        self.p99 = re.search(r"99%\s+(\S+)", text)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    for program in ("nginx", "wrk", "h2load"):
        if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin") is None:
            sys.exit(f"doors.py: {program} is not installed")

    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    processes = []
    try:
        http, plain, asked = free_port(), free_port(), free_port()
        with open(folder / "log", "wb") as log:
            processes.append(subprocess.Popen(
                [options.bin / "sluiced", "--listen-check", f"unix:{folder}/check.sock", "--listen-admin",
                 f"unix:{folder}/admin.sock", "--listen-http", "off", "--store-path", folder / "store",
                 "--doors-listen", f"127.0.0.1:{http}", "--threads", "1"], stdout=log, stderr=log))
            wait_for(http)
            (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
            run(options.bin / "sluicectl", "--server", f"unix:{folder}/admin.sock", "apply", "-f", folder / "policy.yaml")
            config = folder / "nginx.conf"
            config.write_text(NGINX.format(folder=folder, plain=plain, asked=asked, body="x" * 1024,
                                           without=PROXY % "", with_auth=PROXY % AUTH), encoding="utf-8")
            nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
            processes.append(subprocess.Popen([nginx, "-p", folder, "-c", config, "-g", "daemon off; user root;"],
                                              stdout=log, stderr=log))
            wait_for(asked)
        measure(options, folder, http, plain, asked)
    finally:
        for process in processes:
            process.terminate()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def measure(options, folder, http, plain, asked):
    described = ["X-Original-URI: /k", "X-Original-Method: GET", "X-Original-Host: www.example.cn",
                 "X-Forwarded-Uri: /k", "X-Forwarded-Method: GET", "X-Forwarded-Host: www.example.cn",
                 "X-Real-IP: 203.0.113.9", "X-Forwarded-For: 203.0.113.9"]
    post = folder / "post.lua"
    post.write_text('wrk.method = "POST"\nwrk.body = \'{"operation":"OPERATION_PUBLIC_READ","host":"www.example.cn",'
                    '"path":"/k","clientIp":"203.0.113.9"}\'\n', encoding="utf-8")
    rgw = folder / "rgw.lua"
    rgw.write_text('wrk.method = "POST"\nwrk.body = \'{"input":{"method":"GET","relative_uri":"/b1/k","params":"",'
                   '"object_name":"k","user_info":{"user_id":"u1"},"bucket_info":{"bucket":{"name":"b1"},'
                   '"owner":"u1"}}}\'\n', encoding="utf-8")
    base = f"http://127.0.0.1:{http}"
    print(f"{'door':34} {'requests/s':>12}   p99")
    for name, path, script in (("/nginx/cdn", "/nginx/cdn", None), ("/forward/cdn", "/forward/cdn", None),
                               ("/ceph-rgw", "/ceph-rgw", rgw), ("/v1/check", "/v1/check", post)):
        load = Load(options, base + path, script, described if script is None else ())
        print(f"{name + ', wrk':34} {load.rate:12,.0f}   {load.p99}")
    text = run("h2load", "-t1", f"-c{options.connections}", "-m8", f"-D{options.seconds}",
               *[part for header in described for part in ("-H", header.lower())], base + "/forward/cdn")
    print(f"{'/forward/cdn, h2load':34} {float(re.search(r', ([0-9.]+) req/s', text)[1]):12,.0f}")
    without = Load(options, f"http://127.0.0.1:{plain}/k", headers=["Host: www.example.cn"])
    with_auth = Load(options, f"http://127.0.0.1:{asked}/k", headers=["Host: www.example.cn"])
    print(f"{'nginx without auth_request':34} {without.rate:12,.0f}   {without.p99}")
    print(f"{'nginx with auth_request to Sluice':34} {with_auth.rate:12,.0f}   {with_auth.p99}")
    print(f"ratio {with_auth.rate / without.rate:.2f}")


if __name__ == "__main__":
    main()
