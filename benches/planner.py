#!/usr/bin/env python3
"""Large plans: what `recipe build` costs when nothing changed, against ninja on the same graph.

    benches/planner.py RECIPE [ROUNDS]

RECIPE is a release build of the command; ninja and pip have to be installed. For each size a recipe
with that many tiny wheels is built from a package index served by this script. Pairs are interleaved,
and the median of the ratios is printed as a table.
"""
import base64
import functools
import hashlib
import http.server
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

from common import timed

# A wheel is brought, unpacked, edited, scanned and compiled: five steps.
STEPS = ["fetch", "unpack", "relocate", "scan", "compile"]
WHEELS = [176, 1976]


def wheel(folder, number):
    """Makes one wheel and its index page; gives its requirement."""
    name = f"tiny{number:05d}"
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": f"VALUE = {number}\n".encode(),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}\n")
    files[f"{about}/RECORD"] = "".join([*lines, f"{about}/RECORD,,\n"]).encode()
    file = folder / "files" / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    page = folder / "simple" / name
    page.mkdir()
    (page / "index.html").write_text(
        f'<!DOCTYPE html><a href="/files/{file.name}#sha256={digest}">{file.name}</a>')
    return f"{name}==1.0\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/simple"


def usual_index():
    """The index of this machine: the resolver comes from there."""
    asked = subprocess.run(["pip", "config", "get", "global.index-url"], capture_output=True, text=True)
    if asked.returncode == 0:
        return asked.stdout.strip()
    from pip._internal.models.index import PyPI
    return PyPI.simple_url


def ninja_graph(folder, wheels):
    """The same graph for ninja: a chain for each wheel, then the three that everything joins in."""
    folder.mkdir()
    rules = ["rule touch\n  command = touch $out\n"]
    ends = []
    for number in range(wheels):
        before = ""
        for step in STEPS:
            target = f"{step}{number}"
            rules.append(f"build {target}: touch {before}\n")
            before = target
        ends.append(before)
    for target in ["compose", "manifest", "proof"]:
        rules.append(f"build {target}: touch {' '.join(ends)}\n")
        ends = [target]
    (folder / "build.ninja").write_text("".join(rules))
    subprocess.run(["ninja", "-C", folder], check=True, stdout=subprocess.DEVNULL)


def measure(recipe, wheels, rounds, place):
    folder = place / str(wheels)
    (folder / "recipes").mkdir(parents=True)
    for name in ["index/files", "index/simple"]:
        (folder / name).mkdir(parents=True)
    asked = "".join(wheel(folder / "index", number) for number in range(wheels))
    (folder / "recipes/requirements.txt").write_text(asked)
    (folder / "recipes/many.kdl").write_text(
        'recipe "many" version="1" {\n'
        '    interpreter "python" "3.13" from="debian" suite="trixie"\n'
        '    pip { requirements "requirements.txt"; }\n}\n')
    env = {**os.environ, "HOME": str(folder)}
    build = [recipe, "build", "many", "--store", str(folder / "store")]
    index = ["--python-index", serve(folder / "index"), "--python-index", usual_index()]
    took, said = timed([*build, *index], cwd=folder, env=env)
    steps = int(re.search(r"(\d+) steps run", said)[1])
    ninja_graph(folder / "ninja", wheels)
    ours, theirs, looked = [], [], []
    for _ in range(rounds):
        ours.append(timed([*build, "--offline"], cwd=folder, env=env)[0])
        theirs.append(timed(["ninja", "-C", "ninja"], cwd=folder, env=env)[0])
        shutil.rmtree(folder / "store/memo")
        (folder / "store/memo").mkdir(mode=0o700)
        looked.append(timed([*build, "--offline"], cwd=folder, env=env)[0])
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    show = lambda times: f"{statistics.median(times) * 1e3:.1f} ms"
    print(f"| {steps} | {took:.1f} s | {show(ours)} | {show(theirs)} | {ratio:.2f} x "
          f"| {show(looked)} | {statistics.median(looked) / steps * 1e6:.0f} µs |", flush=True)


def main():
    recipe = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    print("| steps | built | nothing changed | ninja | ratio | each step looked up | per step |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="recipe-planner-") as place:
        for wheels in WHEELS:
            measure(recipe, wheels, rounds, Path(place))


if __name__ == "__main__":
    main()
