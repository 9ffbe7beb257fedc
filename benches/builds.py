#!/usr/bin/env python3
"""A recipe's build step against the same commands by hand in a chroot of the same sysroot.

    benches/builds.py RECIPE NAME ROUNDS      as root; RECIPE is the program, NAME a recipe that builds

Both begin with fresh sources and end when the last program has; ours lays out the sysroot, shuts itself
in, and takes what was installed into the store besides. Pairs are interleaved; the medians of both and of
the ratios are told.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

recipe, name, rounds = os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3])
top = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
scratch = tempfile.mkdtemp(prefix="recipe-builds.")
os.chdir(scratch)
shutil.copytree(os.path.join(top, "recipes"), "recipes")
os.environ["RECIPE_STORE"] = os.environ.get("RECIPE_STORE", os.path.join(scratch, "store"))


def run(*words, **more):
    return subprocess.run([recipe, "--quiet", *words], check=True, stdout=subprocess.PIPE, **more).stdout


def shell(*words):
    return run("shell", f"{name}:build {name}", "--", *words)


def unpacked(archive, folder):
    os.makedirs(folder)
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)


def by_hand():
    """Seconds of the recipe's commands in the chroot."""
    for place in ("tmp", "out"):
        shutil.rmtree(os.path.join(root, place), ignore_errors=True)
    unpacked(sources, os.path.join(root, "tmp/build"))
    os.makedirs(os.path.join(root, "out/of-this-build"))
    begun = time.monotonic()
    subprocess.run(
        ["chroot", root, "/usr/bin/env", "-i", *environment, "/bin/sh", "-ec", commands],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - begun


def ours(number):
    """Seconds of the step, which is another one each time."""
    with open(path, "w") as file:
        file.write(text.replace("    build {\n", f'    build {{\n        env "ROUND" "{number}"\n', 1))
    run("build", name)
    steps = json.loads(run("log", f"{name}:build {name}", "--json"))["steps"]
    assert steps[0]["state"] == "ran", steps
    return steps[0]["milliseconds"] / 1000


path = next(
    os.path.join(folder, f"{name}.kdl") for folder, _, files in os.walk("recipes") if f"{name}.kdl" in files
)
with open(path) as file:
    text = file.read()
run("build", name)
root = os.path.join(scratch, "root")
unpacked(shell("tar", "-C", "/", "-c", "bin", "etc", "lib", "lib64", "sbin", "usr", "var"), root)
sources = shell("tar", "-C", "/tmp/build", "-c", ".")
environment = shell("env").decode().split("\n")[:-1]
os.mkdir(os.path.join(root, "dev"))
subprocess.run(["mknod", "-m", "666", os.path.join(root, "dev/null"), "c", "1", "3"], check=True)
told = subprocess.run(
    [recipe, "shell", f"{name}:build {name}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE, text=True,
).stderr
commands = "\n".join(re.findall(r"^  (\(cd .*\))$", told, re.M))
pairs = []
for number in range(rounds):
    pairs.append((ours(number), by_hand()))
    print(f"ours {pairs[-1][0]:.2f} s, by hand {pairs[-1][1]:.2f} s", flush=True)
print(
    f"{name}: ours {statistics.median(one for one, _ in pairs):.2f} s, "
    f"by hand {statistics.median(other for _, other in pairs):.2f} s, "
    f"median of ratios {statistics.median(one / other for one, other in pairs):.2f} x"
)
shutil.rmtree(scratch)
