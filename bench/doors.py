#!/usr/bin/env python3
"""Requests a second through the doors, by wrk and h2load, and of nginx and HAProxy that ask Sluice against the same that do not.

    bench/doors.py BIN [--seconds N] [--connections N] [--rounds N]

BIN is the folder of sluiced and sluicectl (build/release/bin). Needs nginx, haproxy, wrk and nghttp2-client from Debian's
packages. Everything runs on this machine and shares its cores, the load generator included: ratios say more than rates.
A proxy with and without are measured in turn, round by round; figures are medians.
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
# What examples/nginx does for a request that is allowed, beside a server that does not ask, and the storage of both.
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
    server {{ listen 127.0.0.1:{nginx_plain}; {without} }}
    server {{
        listen 127.0.0.1:{nginx_asks};
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
# As examples/haproxy, whose sluice-spoe.conf it uses as it stands.
HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client  30s
    timeout server  30s
    default_backend storage
frontend plain
    bind 127.0.0.1:{haproxy_plain}
frontend asks
    bind 127.0.0.1:{haproxy_asks}
    unique-id-format %{{+X}}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
    filter spoe engine sluice config {folder}/sluice-spoe.conf
    http-request send-spoe-group sluice ask
    http-request return status 503 if !{{ var(txn.sluice.allowed) -m bool }}
backend storage
    server s1 unix@{folder}/storage.sock
backend sluice-agents
    mode tcp
    timeout connect 100ms
    timeout server  1m
    option spop-check
    server sluice unix@{folder}/spoe.sock
"""
POLICY = """
- paid: {account: u1}
- bind_bucket: {bucket: b1, account: u1, region: cn}
- bind_domain: {host: www.example.cn, account: u1, bucket: b1, geo: FOREIGN}
"""
DESCRIBED = ["X-Original-URI: /k", "X-Original-Method: GET", "X-Original-Host: www.example.cn", "X-Forwarded-Uri: /k",
             "X-Forwarded-Method: GET", "X-Forwarded-Host: www.example.cn", "X-Real-IP: 203.0.113.9",
             "X-Forwarded-For: 203.0.113.9"]
JSON_CHECK = ('{"operation":"OPERATION_PUBLIC_READ","host":"www.example.cn","path":"/k","clientIp":"203.0.113.9"}')
RGW = ('{"input":{"method":"GET","relative_uri":"/b1/k","params":"","object_name":"k","user_info":{"user_id":"u1"},'
       '"bucket_info":{"bucket":{"name":"b1"},"owner":"u1"}}}')


def find(program):
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")


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


def run(*command):
    result = subprocess.run([str(each) for each in command], capture_output=True, encoding="utf-8", check=False)
    if result.returncode != 0:
        sys.exit(f"doors.py: {' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout


def field(number, content):
    """A length-delimited field of a Protobuf message, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def envoy_check():
    """An envoy.service.auth.v3.CheckRequest in a gRPC frame."""
    http = field(2, b"GET") + field(4, b"/k") + field(5, b"www.example.cn")
    source = field(1, field(1, field(1, field(2, b"203.0.113.9"))))
    message = field(1, source + field(4, field(2, http)))
    return b"\0" + len(message).to_bytes(4, "big") + message


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.ports = {name: free_port() for name in ("http", "nginx_plain", "nginx_asks", "haproxy_plain", "haproxy_asks")}
        self.processes = []

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    def start(self, *command):
        with open(self.folder / "log", "ab") as log:
            self.processes.append(subprocess.Popen([str(each) for each in command], stdout=log, stderr=log))

    def serve(self):
        folder = self.folder
        self.start(self.options.bin / "sluiced", "--listen-check", f"unix:{folder}/check.sock", "--listen-admin",
                   f"unix:{folder}/admin.sock", "--listen-http", "off", "--store-path", folder / "store",
                   "--doors-listen", f"127.0.0.1:{self.ports['http']}", "--doors-spoe", f"unix:{folder}/spoe.sock",
                   "--threads", "1")
        wait_for(self.ports["http"])
        run(self.options.bin / "sluicectl", "--server", f"unix:{folder}/admin.sock", "apply", "-f",
            self.write("policy.yaml", POLICY))
        config = self.write("nginx.conf", NGINX.format(folder=folder, body="x" * 1024, without=PROXY % "",
                                                       with_auth=PROXY % AUTH, **self.ports))
        self.start(find("nginx"), "-p", folder, "-c", config, "-g", "daemon off; user root;")
        shutil.copy(ROOT / "examples" / "haproxy" / "sluice-spoe.conf", folder)
        self.start(find("haproxy"), "-db", "-f", self.write("haproxy.cfg", HAPROXY.format(folder=folder, **self.ports)))
        for port in self.ports.values():
            wait_for(port)

    def end(self):
        for process in self.processes:
            process.terminate()
            process.wait()

    # -- Load: requests a second, and what wrk says of the 99th percentile

    def wrk(self, url, headers=(), body=None):
        command = ["wrk", "-t1", f"-c{self.options.connections}", f"-d{self.options.seconds}s", "--latency"]
        for header in headers:
            command += ["-H", header]
        if body:
            command += ["-s", self.write("post.lua", f"wrk.method = 'POST'\nwrk.body = '{body}'\n")]
        text = run(*command, url)
        if "Non-2xx" in text or "Socket errors" in text:
            sys.exit(f"doors.py: {url} was refused:\n{text}")
        return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), re.search(r"99%\s+(\S+)", text)[1]

    def h2load(self, path, headers, body=None):
        command = ["h2load", "-t1", f"-c{self.options.connections}", "-m8", f"-D{self.options.seconds}"]
        for header in headers:
            name, _, value = header.partition(": ")
            command += ["-H", f"{name.lower()}: {value}"]
        if body:
            command += ["-d", self.write("body", body)]
        text = run(*command, f"http://127.0.0.1:{self.ports['http']}{path}")
        done = int(re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", text)[1])
        data = int(re.search(r"\((\d+)\) data", text)[1])
        # A gRPC call that fails is a 200 without a message.
        if done == 0 or (body and data < 16 * done):
            sys.exit(f"doors.py: {path} was refused:\n{text}")
        return float(re.search(r", ([0-9.]+) req/s", text)[1]), ""

    def medians(self, *loads):
        """Each in turn, round by round. Of each the round with the median rate."""
        rounds = [[load() for load in loads] for _ in range(self.options.rounds)]
        return [sorted(each)[len(each) // 2] for each in zip(*rounds)]

    def doors(self):
        base = f"http://127.0.0.1:{self.ports['http']}"
        grpc = ["content-type: application/grpc", "te: trailers"]
        loads = {
            "`/nginx/cdn`, wrk": lambda: self.wrk(base + "/nginx/cdn", DESCRIBED),
            "`/forward/cdn`, wrk": lambda: self.wrk(base + "/forward/cdn", DESCRIBED),
            "`/ceph-rgw`, wrk": lambda: self.wrk(base + "/ceph-rgw", body=RGW),
            "`/v1/check`, wrk": lambda: self.wrk(base + "/v1/check", body=JSON_CHECK),
            "`/forward/cdn`, h2load": lambda: self.h2load("/forward/cdn", DESCRIBED),
            "Envoy's Check over gRPC, h2load": lambda: self.h2load("/envoy.service.auth.v3.Authorization/Check", grpc,
                                                                   envoy_check()),
        }
        print("| door | requests a second | p99 |\n|---|---|---|")
        for name, (rate, p99) in zip(loads, self.medians(*loads.values())):
            print(f"| {name} | {rate:,.0f} | {p99} |", flush=True)

    def proxies(self):
        print("\n| proxy | without | p99 | asking Sluice | p99 | ratio |\n|---|---|---|---|---|---|")
        for name, proxy in (("nginx, `auth_request`", "nginx"), ("HAProxy, SPOE", "haproxy")):
            urls = [f"http://127.0.0.1:{self.ports[f'{proxy}_{each}']}/k" for each in ("plain", "asks")]
            plain, asks = self.medians(*[lambda url=url: self.wrk(url, ["Host: www.example.cn"]) for url in urls])
            print(f"| {name} | {plain[0]:,.0f} | {plain[1]} | {asks[0]:,.0f} | {asks[1]} | {asks[0] / plain[0]:.2f} |",
                  flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for program in ("nginx", "haproxy", "wrk", "h2load"):
        if find(program) is None:
            sys.exit(f"doors.py: {program} is not installed")
    bench = Bench(options, pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-")))
    try:
        bench.serve()
        bench.doors()
        bench.proxies()
    finally:
        bench.end()
        shutil.rmtree(bench.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
