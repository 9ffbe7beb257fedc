"""Checks of a closure's files that share nothing with the program under test: its own ELF reader.

    python3 tree.py DIR [--forbid PATH]...

Prints what is wrong, as JSON: a list of pairs. `--forbid` names a path that no file may contain.
"""

import json
import os
import struct
import sys

TOP = os.path.realpath(sys.argv[1])
FORBIDDEN = sys.argv[3::2]


def walk():
    for folder, folders, files in os.walk(TOP):
        for name in files + folders:
            yield os.path.join(folder, name)


def links():
    for path in walk():
        if os.path.islink(path):
            target = os.readlink(path)
            if os.path.isabs(target) or not os.path.exists(path) or not os.path.realpath(path).startswith(TOP + "/"):
                yield path, "link to " + target


def dynamic(data):
    """DT_NEEDED names, DT_SONAME, DT_RPATH and DT_RUNPATH of an ELF64 file."""
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    phoff, = struct.unpack_from("<Q", data, 32)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    loads, table = [], None
    for index in range(phnum):
        kind, _, offset, address, _, filesz, _, _ = struct.unpack_from("<IIQQQQQQ", data, phoff + index * phentsize)
        if kind == 1:
            loads.append((address, offset, filesz))
        elif kind == 2:
            table = offset, filesz
    if table is None:
        return None
    entries = []
    for at in range(table[0], table[0] + table[1], 16):
        tag, value = struct.unpack_from("<qQ", data, at)
        if tag == 0:
            break
        entries.append((tag, value))
    address = next((value for tag, value in entries if tag == 5), 0)
    base = next((address - start + offset for start, offset, size in loads if start <= address < start + size), None)

    def text(value):
        return data[base + value:data.index(b"\0", base + value)].decode()
    return {name: [text(value) for tag, value in entries if tag == number]
            for name, number in (("needed", 1), ("soname", 14), ("rpath", 15), ("runpath", 29))}


def needed_libraries():
    have = set(os.listdir(os.path.join(TOP, "lib")))
    for path in walk():
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            facts = dynamic(file.read())
        if facts is None:
            continue
        own = set()
        for entry in ":".join(facts["rpath"] + facts["runpath"]).split(":"):
            if entry and not entry.startswith(("$ORIGIN", "${ORIGIN}")):
                yield path, "search path " + entry
            folder = entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", os.path.dirname(path))
            if entry and os.path.isdir(folder):
                own |= set(os.listdir(folder))
        if facts["runpath"]:
            yield path, "DT_RUNPATH"
        for name in facts["needed"]:
            if name not in have | own:
                yield path, "needs " + name


def forbidden_paths():
    for path in walk():
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                data = file.read()
            for name in FORBIDDEN:
                if os.fsencode(name) in data:
                    yield path, "holds " + name


def left_over():
    for path in walk():
        if path.endswith((".pyc.tmp", "~", ".orig", ".rej")):
            yield path, "left over"


json.dump([*links(), *needed_libraries(), *forbidden_paths(), *left_over()], sys.stdout)
