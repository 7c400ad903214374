"""Holds the include arrows: reads every #include of every folder and refuses what the tables below do not allow.

    python3 tests/tree/arrows.py [ROOT]

Prints FILE:LINE for each include that points the wrong way. Exit code 1 where there is one, 2 where ROOT is no tree.
docs/architecture.md says why the arrows point as they do.
"""

import dataclasses
import pathlib
import re
import sys

STANDARD = frozenset(
    """algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes
    climits clocale cmath compare complex concepts condition_variable coroutine csetjmp csignal cstdarg cstddef
    cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque exception execution filesystem format
    forward_list fstream functional future initializer_list iomanip ios iosfwd iostream istream iterator latch
    limits list locale map memory memory_resource mutex new numbers numeric optional ostream queue random ranges
    ratio regex scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept stop_token
    streambuf string string_view strstream syncstream system_error thread tuple type_traits typeindex typeinfo
    unordered_map unordered_set utility valarray variant vector version""".split())

# Of POSIX and Linux: files, sockets, signals, clocks.
SYSTEM = ("arpa/", "dirent.h", "errno.h", "fcntl.h", "netdb.h", "netinet/", "poll.h", "pthread.h", "signal.h",
          "spawn.h", "stdio.h", "stdlib.h", "string.h", "sys/", "termios.h", "time.h", "unistd.h")

GRPC = ("grpc/", "grpcpp/")
PROTOBUF = ("google/protobuf/", "google/rpc/")
ANY = ("",)

# What decides gets its time, its names and its state as values (docs/decisions/2026-11-24-enforcement-libraries.md).
IMPURE = ("absl/time/clock.h", "chrono", "cstdio", "ctime", "filesystem", "fstream", "iostream")


@dataclasses.dataclass(frozen=True)
class Room:
    """What the files of one folder may include besides the folder itself, the standard library and Abseil."""
    knows: str                 # completes "FOLDER/ may not include X: it knows ..."
    folders: tuple = ()        # of this tree; "proto" stands for generated messages too
    libraries: tuple = ()      # a header, or a folder of headers with "/" at its end
    headers: tuple = ()        # single ones of other folders of this tree
    never: tuple = ()          # headers of the standard library and Abseil that it must do without


ROOMS = {
    "enforcement": Room("the standard library, Abseil, xxHash and libidn2 alone, and neither files, sockets nor clocks",
                        libraries=("arpa/inet.h", "idn2.h", "sys/mman.h", "xxhash.h"), never=IMPURE),
    "proto": Room("enforcement and Protobuf", ("enforcement",), PROTOBUF),
    "agreement": Room("enforcement, yaml-cpp and xxHash", ("enforcement",), ("xxhash.h", "yaml-cpp/")),
    "store": Room("enforcement, proto, LMDB and xxHash", ("enforcement", "proto"),
                  (*PROTOBUF, *SYSTEM, "lmdb.h", "xxhash.h")),
    "decision_log": Room("enforcement, proto, xxHash, zstd and OpenSSL's hashes", ("enforcement", "proto"),
                         (*PROTOBUF, *SYSTEM, "openssl/evp.h", "xxhash.h", "zstd.h")),
    "metrics": Room("enforcement, prometheus-cpp and what the kernel says of this process", ("enforcement",),
                    ("prometheus/", "time.h", "unistd.h")),
    "client": Room("proto, agreement, decision_log, enforcement, store and metrics",
                   ("agreement", "decision_log", "enforcement", "metrics", "proto", "store"),
                   (*GRPC, *PROTOBUF, *SYSTEM, "CLI/", "openssl/", "yaml-cpp/")),
    # Its parts have tables of their own, below; this is main.cc's and that of server/node/, which knows every part.
    "server": Room("all but client", ("agreement", "decision_log", "enforcement", "metrics", "proto", "store"),
                   (*GRPC, *PROTOBUF, *SYSTEM, "CLI/", "yaml-cpp/")),
    # Each may take the library that it needs to try what the others do.
    "tests": Room("all folders",
                  ("agreement", "bench", "client", "decision_log", "enforcement", "metrics", "proto", "server", "store"), ANY),
    "bench": Room("all folders",
                  ("agreement", "client", "decision_log", "enforcement", "metrics", "proto", "server", "store", "tests"),
                  ANY),
}

# Inside server/ only node/ and main.cc know every part. "" is a file directly in server/, other than main.cc. Of the
# folders that a part may include, "server/" is such a file, "server/log" one of that part.
SERVER_PARTS = {
    "listen": Room("enforcement, proto, metrics and what stands directly in server/, log/ included; OpenSSL",
                   ("enforcement", "metrics", "proto", "server/", "server/log"),
                   (*GRPC, *PROTOBUF, *SYSTEM, "grp.h", "nghttp2/", "openssl/", "pwd.h")),
    "doors": Room("enforcement, proto, listen/ and log/: a door only translates",
                  ("enforcement", "proto", "server/", "server/listen", "server/log"),
                  (*GRPC, *PROTOBUF, *SYSTEM, "rapidjson/")),
    "admin": Room("decision_log, enforcement, metrics, proto, store, listen/ and log/",
                  ("decision_log", "enforcement", "metrics", "proto", "store", "server/", "server/listen", "server/log"),
                  (*GRPC, *PROTOBUF, *SYSTEM, "linux/tcp.h")),
    "log": Room("enforcement alone, and the libraries whose logs it takes over", ("enforcement", "server/"),
                (*GRPC, *PROTOBUF, *SYSTEM)),
    "": Room("enforcement, listen/ and log/; only node/ and main.cc know every part",
             ("enforcement", "server/listen", "server/log"),
             (*SYSTEM, "CLI/", "grp.h", "linux/", "openssl/", "pwd.h", "yaml-cpp/"),
             # What is YAML, and what is not, is said in one place.
             headers=("agreement/yaml_documents.h",)),
}

SKIPPED = ("build", "helm", "docs", "examples", "cmake")
INCLUDE = re.compile(r'\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")')
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def includes(text):
    """Yields (line number, header) of each #include in `text`, those in comments left out."""
    # A comment keeps its lines, so that numbers stay right.
    text = COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) or match.group(2)


def knows_every_part(path):
    return path == pathlib.PurePath("server/main.cc") or path.parts[:2] == ("server", "node")


def room_of(path):
    """The words for whoever includes, and its table, of a file in a folder of ROOMS."""
    folder = path.parts[0]
    if folder != "server":
        return f"{folder}/", ROOMS[folder]
    if knows_every_part(path):
        return "server/main.cc" if len(path.parts) == 2 else "server/node/", ROOMS[folder]
    part = path.parts[1] if len(path.parts) > 2 else ""
    name = f"server/{part}/" if part else "server/"
    # A part that the table does not know may include what a file directly in server/ may.
    return name, SERVER_PARTS.get(part, SERVER_PARTS[""])


def place_of(header):
    """The folder of this tree that `header` is in, None where it is of a library. Parts of server/ are places."""
    parts = header.split("/")
    if header.startswith(("sluice/v1/", "envoy/")):
        return "proto"
    if len(parts) == 1 or parts[0] not in ROOMS:
        return None
    if parts[0] == "server":
        return f"server/{parts[1]}" if len(parts) > 2 else "server/"
    return parts[0]


def from_root(root, path, header):
    """`header` as seen from the root of the tree, where it is written as seen from the folder of `path`."""
    beside = (root / path.parent / header).resolve()
    if beside.is_file() and not (root / header).is_file() and beside.is_relative_to(root.resolve()):
        return str(beside.relative_to(root.resolve()))
    return header


def begins(header, patterns):
    return patterns == ANY or any(
        header == pattern or (pattern.endswith("/") and header.startswith(pattern)) for pattern in patterns)


def is_allowed(path, header, room):
    if header.startswith("sluice/v1/") and header.endswith(".grpc.pb.h"):
        return path.parts[0] in ("client", "server", "tests", "bench")
    if header in room.headers:
        return True
    place = place_of(header)
    if place is None:
        if header in STANDARD or header.startswith("absl/"):
            return header not in room.never
        return begins(header, room.libraries)
    own = path.parts[0]
    if own != "server":
        return place.split("/")[0] in (own, *room.folders)
    if knows_every_part(path):
        return place.split("/")[0] == "server" or place in room.folders
    own_part = f"server/{path.parts[1]}" if len(path.parts) > 2 else "server/"
    return place == own_part or place in room.folders


def violations(root):
    """Yields one line for each include of the tree at `root` that points the wrong way."""
    files = sorted(path for pattern in ("*.h", "*.cc", "*.inc") for path in root.rglob(pattern))
    for file in files:
        path = file.relative_to(root)
        folder = path.parts[0]
        if folder in SKIPPED or folder.startswith("."):
            continue
        if len(path.parts) == 1 or folder not in ROOMS:
            yield f"{path}:1: no table says what {folder} may include; add it to {pathlib.Path(__file__).name}"
            continue
        who, room = room_of(path)
        for number, header in includes(file.read_text(encoding="utf-8")):
            if not is_allowed(path, from_root(root, path, header), room):
                yield f"{path}:{number}: {who} may not include {header}: it knows {room.knows}"


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else ".")
    if not (root / "enforcement").is_dir():
        print(f"arrows: {root} has no folder enforcement/: wanted the root of the tree", file=sys.stderr)
        return 2
    found = list(violations(root))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
