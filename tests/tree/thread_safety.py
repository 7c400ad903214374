"""Holds what each lock guards: every file that has to do with a lock goes through clang's thread-safety analysis.

    python3 tests/tree/thread_safety.py BUILD [ROOT]

BUILD is a folder that was configured and built: it has the commands that compile each file, and the generated headers.
A file has to do with a lock where it, or a header of this tree that it includes, names one; locks of the standard
library are refused, since the analysis does not know them, and so is a lock of which no member says that it is guarded
by it. Prints what is wrong, then how many files were looked at. Exit code 1 where anything is wrong.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

FOLDERS = ("agreement", "client", "decision_log", "enforcement", "metrics", "proto", "server", "store")
CLANG = "clang++-14"
LOCK = re.compile(r"\babsl::(?:Mutex|CondVar)\b|\bABSL_(?:PT_)?GUARDED_BY\b|\bABSL_\w*LOCKS?_\w+\b")
FOREIGN = re.compile(r"\bstd::(?:recursive_|shared_|timed_)?(?:mutex|condition_variable|lock_guard|unique_lock)\b")
# A member, or a variable of the file; of a local one there is nothing to say.
MEMBER = re.compile(r"^(?:\s+(?:mutable |static )*absl::Mutex (?=\w+_\b)|(?:static |ABSL_CONST_INIT )*absl::Mutex )(\w+)",
                    re.MULTILINE)
INCLUDE = re.compile(r'^#include "([a-z_]+/[^"]+)"', re.MULTILINE)


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def sources(root):
    """Path from the root -> text without comments, of every file of the program."""
    return {str(path.relative_to(root)): without_comments(path.read_text(encoding="utf-8"))
            for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.suffix in (".h", ".cc")}


def unguarded(texts):
    """What no analysis would find: a line for each lock that it does not know, or that guards nothing."""
    for path, text in texts.items():
        for match in FOREIGN.finditer(text):
            yield f"{path}: {match.group()}: wanted absl::Mutex, which the analysis knows"
        for name in MEMBER.findall(text):
            if not re.search(rf"(?:GUARDED_BY|LOCKS_REQUIRED)\([^)]*\b{name}\b", text):
                yield f"{path}: {name}: no member is ABSL_GUARDED_BY it"


def analysed(texts):
    """The .cc files that have to do with a lock."""
    return [path for path, text in texts.items() if path.endswith(".cc") and
            (LOCK.search(text) or any(LOCK.search(texts.get(header, "")) for header in INCLUDE.findall(text)))]


def command_of(entry):
    """The command of compile_commands.json as clang's, to look and not to write."""
    words = shlex.split(entry["command"]) if "command" in entry else list(entry["arguments"])
    while not re.search(r"(?:\+\+|cc|clang)(?:-\d+)?$", os.path.basename(words[0])) or "ccache" in words[0]:
        words.pop(0)
    kept, skip = [], False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MT", "-MQ"):
            skip = True
        elif word not in ("-c", "-MD", "-MMD") and not word.startswith(("-fsanitize", "-W")):
            kept.append(word)
    return [CLANG, *kept, "-fsyntax-only", "-w", "-Wthread-safety", "-Werror=thread-safety"]


def analyse(entry):
    result = subprocess.run(command_of(entry), cwd=entry["directory"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False)
    return result.returncode, result.stdout


def main(arguments):
    build, root = pathlib.Path(arguments[0]), pathlib.Path(arguments[1] if len(arguments) > 1 else ".").resolve()
    texts = sources(root)
    wrong = list(unguarded(texts))
    for line in wrong:
        print(line)
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if path.is_relative_to(root):
            entries[str(path.relative_to(root))] = entry
    wanted = analysed(texts)
    for path in (path for path in wanted if path not in entries):
        wrong.append(path)
        print(f"{path}: {build} does not compile it")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, said in pool.map(analyse, [entries[path] for path in wanted if path in entries]):
            if code != 0:
                wrong.append(said)
                print(said)
    print(f"thread safety: {len(wanted)} files")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
