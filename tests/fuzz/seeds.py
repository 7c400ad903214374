"""Writes the first corpora from what is in the tree: python3 tests/fuzz/seeds.py. What a fuzzer finds is added by hand."""

import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"


def write(name, **files):
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    return bytes([number << 3 & 0x7F | 2] if number < 16 else varint(number << 3 | 2)) + varint(len(content)) + content


def main():
    pack = (ROOT / "agreement" / "default.yaml").read_text(encoding="utf-8")
    write("pack", default=pack, cut=pack[:4000], empty="", sequence="- a\n- b\n", deep="a: " * 50 + "b",
          no_reason=pack.replace("  STALE_POLICY:\n    clause", "  STALE:\n    clause"))
    write("config", full="listen:\n  check: unix:/run/s.sock\n  admin: 127.0.0.1:9701\n  http: off\nnode: {region: cn}\n",
          wrong="listen: [1]\nnode:\n  regoin: cn\n", scalars="threads: 4\ndrain: 10s\nconfine: false\n",
          failure="failure:\n  not_ready: DOWNLOAD,LIST\n  stale_policy: decide\n", two="threads: 1\n---\nthreads: 2\n")
    write("access", good="callers:\n- {name: a, uid: [1, 2], roles: [BILLING, legal], reads: [policy, log]}\n"
          "- name: b\n  token_sha256: " + "ab" * 32 + "\n  imports: true\n- {name: c, certificate: x, roles: all}\n",
          wrong="callers:\n- {name: a, uid: x, roles: KING}\n- 1\n", other="callers: {}\n")
    policy = (ROOT / "examples" / "demo" / "policy.yaml").read_text(encoding="utf-8")
    write("policy_file", demo=policy, one="freeze: {account: u1}\nrole: BILLING\n",
          events="events:\n- set_limit: {limit_id: l, rate: 1.5, operations: [UPLOAD, 7]}\n  effective_at: 2026-03-01T10:00:00+08:00\n",
          bytes="raise_flag: {flag_id: f, subject: {hash: {algorithm: md5, digest: AA}}, expires_at: 2026-01-01}\n")
    log = (ROOT / "examples" / "data" / "combined.log").read_bytes().split(b"\n")
    write("access_log", combined=b"\n".join(log[:20]), common=b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5',
          escapes=b'::1 - u [17/May/2015:10:05:03 +0800] "GET http://u@H:80/a%20\\x22b HTTP/1.1" 404 - "-" "\\"',
          open_quote=b'h - - [17/May/2015:10:05:03 +0000] "GET /')
    freeze = field(15, field(1, b"u1"))
    event = field(1, b"e1") + field(2, b"billing") + b"\x18\x01" + freeze
    chunk = field(1, event) + b"\x10\x05\x38\x01"
    write("export", one=b"SLUICE-EXPORT 1\n" + varint(len(chunk)) + chunk + b"\0", empty=b"SLUICE-EXPORT 1\n\0",
          cut=b"SLUICE-EXPORT 1\n" + varint(len(chunk)) + chunk[:5], other=b"SLUICE-EXPORT 9\n", long=b"SLUICE-EXPORT 1\n" + b"\xff" * 9)
    write("events", freeze=field(1, event), two=field(1, event) + field(1, b"\x18\x01" + field(18, field(1, b"u1"))),
          order=field(1, b"\x18\x04" + field(43, field(1, b"o1") + field(2, field(2, b"b1")))),
          flag=field(1, b"\x18\x02" + field(40, field(1, b"f1") + field(2, field(2, b"b1") + field(3, b"k1")) + field(3, b"3.1.3.5.3"))),
          limit=field(1, b"\x18\x01" + field(60, field(1, b"l1") + b"\x10\x04\x18\x01" + field(4, field(1, b"u1")) + b"\x28\x01" +
                                               b"\x39" + struct.pack("<d", 10.0))))
    write("names", host="CDN.Example.CN.:443", idn="bücher.example", wildcard="*.x.cn", address="::ffff:1.2.3.4/120", url="h.cn\0/a%2Fb%zz",
          v6="2001:DB8::1", digest="ABCDEF", long="a." * 130)
    write("operations", freeze=bytes(range(0, 250, 3)), mixed=bytes((i * 37 + 11) % 256 for i in range(300)),
          orders=bytes([0, 0, 4] * 20 + [0, 1, 13, 40, 7] * 20))
    write("limiter", takes=bytes([10, 5] + [0, 1, 1] * 60), mixed=bytes((i * 53 + 7) % 256 for i in range(400)),
          debts=bytes([200, 200] + [1, 2, 4, 30, 9, 0, 1, 0, 33, 5] * 20), leases=bytes([1, 1, 0] + [0, 0, 5, 1] * 30))
    # Two roots of LMDB, of one empty table each, and a page of nothing.
    table = struct.pack("<IHHQQQQQ", 4096, 0, 0, 0, 0, 0, 0, 0xFFFFFFFFFFFFFFFF)
    root = lambda page, number: (struct.pack("<QHHHH", page, 0, 8, 0, 0) +  # noqa: E731
                                 struct.pack("<IIQQ", 0xBEEFC0DE, 1, 0, 1 << 20) + table + table + struct.pack("<QQ", 2, number)
                                 ).ljust(4096, b"\0")
    write("pages", empty=root(0, 0) + root(1, 1) + bytes(4096), cut=root(0, 0), none=bytes(8192))
    # CheckRequest and RateLimitRequest of Envoy; the first byte says which.
    http = (field(1, b"42") + field(2, b"GET") + field(3, field(1, b"accept") + field(2, b"*/*")) + field(4, b"/b1/k?x=1") +
            field(5, b"s3.example.cn") + b"\x48\x05" + field(13, field(1, field(1, b"x-request-id") + field(3, b"r"))))
    peer = field(1, field(1, field(1, field(2, b"203.0.113.9") + b"\x18\x01")))
    extensions = b"".join(field(10, field(1, name) + field(2, value)) for name, value in (
        (b"profile", b"s3-path"), (b"account", b"u1"), (b"operation", b"DOWNLOAD"), (b"region", b"cn")))
    entries = lambda *pairs: b"".join(field(1, field(1, key) + field(2, value)) for key, value in pairs)  # noqa: E731
    look = field(2, entries((b"bucket", b"b1"), (b"path", b"/k?x"), (b"method", b"GET"), (b"generic_key", b"x")) + field(3, b""))
    used = field(2, entries((b"usage", b"bytes_out"), (b"host", b"www.example.cn")) + field(3, b"\x08\x80\x94\xeb\xdc\x03"))
    write("envoy", check=b"\0" + field(1, peer + field(4, field(2, http))), bare=b"\0",
          extended=b"\0" + field(1, field(4, field(2, http)) + extensions), rates=b"\1" + field(1, b"sluice") + look + used + b"\x18\x02",
          one=b"\1" + field(2, entries((b"account", b"u1"), (b"operation", b"UPLOAD"), (b"remote_address", b"::1"))))
    write("tls", **tls_connections())
    write("log_segment", cut=b"\0SLUICELG", none=b"\0", **log_segments())


def log_record(owner, key, requester=b"", host=b"", address=b"", rule=b"", trace=b"", reasons=b"\x15", hashes=()):
    """One record as decision_log/record.h has it: numbers, lists, names, hashes."""
    names = [b"r-1", requester, owner, b"b1", key, b"", host, b"", address, b"cn", b"", b"", b"", b"", b"7.2.1", rule, b"", b"",
             b"", trace, b""]
    rest = reasons + b"".join(varint(len(text)) + text for text in [*names, *(text for pair in hashes for text in pair)])
    numbers = struct.pack("<IIqqqqqIIH", 80 + len(rest), 0, 1772330400 * 10**9, 7, 0, 0, 0, 0, 0, 403)
    numbers += bytes([2, 0, 0, 1, 2, reasons[0], 1, 1, 4, 0, 0, len(reasons), len(hashes), 0, 0]) + bytes(7)
    return numbers + rest


def log_segments():
    """Blocks as log_segment_fuzz.cc has them: kind, lies, size, content; kind 3 is the index."""
    def block(kind, content=b"", lies=0):
        return bytes([kind, lies, len(content) >> 8, len(content) & 255]) + content

    two = log_record(b"u1", b"k1") + log_record(b"u2", b"k\xff2", b"u3", b"cdn.example.cn", b"192.0.2.1", b"f1",
                                               b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"\x15\x02",
                                               [(b"md5", b"\x01" * 16)])
    note = b"removed segment=3 records=61-90 link=" + b"ab" * 32 + b" why=age"
    entry = struct.pack("<QHHIqqqQII", 106, 1, 4, 2, 1, 0, 2**62, 2**21, 64, 300)
    return {"closed": b"\1" + block(1, b"started node=n1") + block(0, two) + block(3),
            "open": b"\1" + block(0, two) + block(1, note) + block(0, two), "lies": b"\1" + block(0, two, 1) + block(0, two, 2) +
            block(0, two, 4) + block(0, two, 8), "index": b"\1" + block(0, two) + block(2, entry * 2), "record": b"\1" + two}


def tls_connections():
    """A kind of peer and what is done, as tls_fuzz.cc has it."""
    old, own, http, scarce, small = 1, 2, 4, 8, 16

    def peer(what=0, protocols=0, who=0, unit=0):
        return bytes([what, protocols, who, unit])

    settle, move, send_all, turn = b"\0", b"\2", b"\4", b"\5"
    end, shut, finish, drain = b"\x0e", b"\x0f", b"\x17\1\2\x20", b"\x17\0"
    send, take, say, answer, lose = (lambda size, op=op: bytes([op, 3 if size > 255 else 0, size >> 8 or size])  # noqa: E731
                                     for op in (3, 6, 7, 10, 17))
    keys = lambda ask, first: bytes([12, ask, first])  # noqa: E731
    flip = lambda place, bit: bytes([16, place, bit])  # noqa: E731
    pieces = (move + (send(20) + turn) * 40 + take(200)) * 3
    talk = settle + say(0x100) + answer(0x300) + settle
    return {
        "talk": peer() + talk * 3 + end, "talk_12": peer(old, 4) + talk * 3 + end, "pieces": peer(0, 5) + pieces + talk,
        "pieces_12": peer(old | small, 6, 0, 2) + pieces + talk, "http": peer(http) + settle + say(0x200) + settle + drain,
        "http_12": peer(http | old | small) + settle + (say(0x400) + send(100) + turn) * 4 + end, "nobody": peer(0, 0, 6) + talk,
        "stranger_12": peer(old, 0, 7) + talk, "no_protocol": peer(0, 7) + talk, "raw": b"\0\0\0\0\x13\0\x14GET / HTTP/1.1\r\nA: b" + send_all + turn,
        "late_reader": peer(small, 0, 0, 4) + settle + answer(0x4000) * 3 + (turn + take(0x100)) * 9 + finish + settle,
        "scarce": peer(scarce, 0, 0, 5) + settle + say(0x7000) * 5 + answer(0x6000) * 4 + settle, "shut": peer() + talk + say(200) + shut,
        "keys": peer() + (settle + keys(1, 0) + answer(0x100) + keys(0, 0) + say(20)) * 4, "renegotiates": peer(old | small) + talk + b"\x0d" + talk,
        "own_keys": peer(own) + (settle + keys(1, 5) + say(50) + keys(1, 3) + answer(0x200) + settle) * 3 + end,
        "own_records": peer(own, 0, 0, 2) + settle + b"\x09\xff" + b"\x16\3\x0a" + say(0x4000) + settle + end + say(40),
        "odd_record": peer(own) + talk + b"\x14\0\5\x0b\0\0\1\0\0" + talk, "odd_alert": peer(own) + talk + b"\x14\3\2\1\x5a\0" + talk,
        "flipped": peer() + talk + say(50) + say(50) + flip(0x90, 3) + settle, "flipped_hello": peer() + move + flip(0x40, 1) + settle,
        "flipped_12": peer(old) + talk + say(50) + flip(0x20, 0) + settle, "lost": peer() + talk + say(0x200) * 2 + lose(90) + talk,
        "twice": peer() + talk + say(90) + b"\x12\xff\xe0\0\x60" + settle, "small_records": peer(32) + pieces + talk, "small_records_12": peer(32 | old) + pieces + talk, "after_the_end": peer() + talk + end + say(90) + settle,
        "brim": peer() + settle + say(0xff00) * 3 + settle, "scarce_brim": peer(scarce, 0, 0, 5) + settle + say(0x7000) * 5 + settle,
        "half_keys": peer(own | small) + settle + keys(1, 4) + move + send_all + turn + answer(0xff00) * 24 + settle,
        "time": peer(http) + move + send(30) + turn + b"\x15\3", "late": peer(small) + settle + answer(0x9000) + turn + b"\x15\3",
    }


if __name__ == "__main__":
    main()
