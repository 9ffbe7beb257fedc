#!/usr/bin/env python3
"""The limit that `recipe build` is held against: the same files, with no tool around them.

    benches/limit.py SOURCES CLOSURE OUT

Unpacks the .deb and .whl files of SOURCES in two processes, writes to OUT those of their files
that CLOSURE has, compiles the Python files with CLOSURE's own interpreter in two processes, and
writes the byte code. Nothing is resolved, edited, hashed or made durable. What goes where is found
out beforehand, untimed. Prints the seconds that the timed part took.
"""
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from multiprocessing import Pool

COMPILE = """
import marshal, sys, _imp
from importlib.util import MAGIC_NUMBER
for line in sys.stdin:
    source, target = line.rstrip("\\n").split("\\t")
    with open(source, "rb") as file:
        data = file.read()
    try:
        code = compile(data, source, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        continue
    head = MAGIC_NUMBER + (1).to_bytes(4, "little") + _imp.source_hash(3571, data)
    with open(target, "wb") as file:
        file.write(head + marshal.dumps(code))
"""


def members(path):
    """Name and content of every regular file of a .deb or .whl."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, archive.read(info)
        return
    with open(path, "rb") as file:
        data = file.read()
    at = 8
    while at < len(data):
        name = data[at : at + 16].decode().strip()
        size = int(data[at + 48 : at + 58])
        if name.startswith("data.tar"):
            raw = data[at + 60 : at + 60 + size]
            raw = lzma.decompress(raw) if name.endswith(".xz") else raw
            with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
                for member in archive:
                    if member.isreg():
                        yield member.name, archive.extractfile(member).read()
        at += 60 + size + size % 2


def prepare(sources, closure):
    """Which member goes where: files of equal bytes, else of equal end of path (edited ones)."""
    by_hash, by_tail = {}, {}
    for folder, _, names in os.walk(closure):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or name.endswith(".pyc"):
                continue
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).digest()
            place = os.path.relpath(path, closure)
            by_hash.setdefault(digest, []).append(place)
            by_tail.setdefault("/".join(place.split("/")[-2:]), []).append(place)
    plan, taken = [], set()
    for name in sorted(os.listdir(sources)):
        if not name.endswith((".deb", ".whl")):
            continue
        wanted = {}
        for member, data in members(os.path.join(sources, name)):
            places = by_hash.get(hashlib.sha256(data).digest())
            places = places or by_tail.get("/".join(member.split("/")[-2:]), [])
            places = [place for place in places if place not in taken]
            if places:
                taken.update(places)
                wanted[member] = places
        plan.append((os.path.join(sources, name), wanted))
    plan.sort(key=lambda item: -os.path.getsize(item[0]))
    return plan


def unpack(job):
    path, wanted, out = job
    for name, data in members(path):
        for place in wanted.get(name, ()):
            with open(os.path.join(out, place), "wb") as file:
                file.write(data)


def compile_all(job):
    python, pairs = job
    text = "".join(f"{source}\t{target}\n" for source, target in pairs)
    subprocess.run([python, "-I", "-S", "-B", "-c", COMPILE], input=text, text=True, check=True)


def main():
    sources, closure, out = sys.argv[1:]
    plan = prepare(sources, closure)
    places = [place for _, wanted in plan for found in wanted.values() for place in found]
    pairs = []
    for place in sorted(places):
        folder, name = os.path.split(place)
        cached = f"{folder}/__pycache__/{name[:-3]}.cpython-313.pyc"
        if name.endswith(".py") and os.path.exists(os.path.join(closure, cached)):
            pairs.append((place, cached))
    shutil.rmtree(out, ignore_errors=True)
    folders = {os.path.dirname(place) for place in places} | {os.path.dirname(c) for _, c in pairs}
    python = os.path.join(os.path.abspath(closure), "bin/python3")
    with Pool(2) as pool:
        pool.map(len, [[]] * 4)
        started = time.monotonic()
        for folder in sorted(folders):
            os.makedirs(os.path.join(out, folder), exist_ok=True)
        pool.map(unpack, [(path, wanted, out) for path, wanted in plan], chunksize=1)
        unpacked = time.monotonic()
        full = [(os.path.join(out, s), os.path.join(out, t)) for s, t in pairs]
        full.sort(key=lambda pair: -os.path.getsize(pair[0]))
        pool.map(compile_all, [(python, full[0::2]), (python, full[1::2])], chunksize=1)
        ended = time.monotonic()
    print(f"{ended - started:.3f}", f"unpack {unpacked - started:.3f} compile {ended - unpacked:.3f}",
          f"{len(places)} files {len(pairs)} compiled")


if __name__ == "__main__":
    main()
