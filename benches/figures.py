#!/usr/bin/env python3
"""The figures of book/src/performance.md, as ratios within one run.

    benches/figures.py RECIPE [ROUNDS]

RECIPE is a release build of the command. Run it in the checkout, on a machine with nothing else to
do, as root (start-up is compared inside a root folder of Debian 13, made with mmdebstrap). Pairs are
interleaved, and the median of the ratios is printed as a table.
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
from pathlib import Path

NAME = "scylla-python"
MODULES = ("yaml urwid pyparsing requests setuptools psutil distro click six pyudev cassandra.cluster "
           "geomet.wkt traceback_with_variables scylla_api_client treelib universalasync").split()

# Runs inside the root folder: starts each of the commands in turn, and prints all times.
STARTS = """
import json, os, sys, time
commands, rounds = json.loads(sys.argv[1]), int(sys.argv[2])
times = [[] for _ in commands]
null = os.open("/dev/null", os.O_RDWR)
for turn in range(rounds + 3):
    for index, command in enumerate(commands):
        began = time.perf_counter()
        pid = os.posix_spawn(command[0], command, {"PATH": "/usr/bin:/bin"})
        os.waitpid(pid, 0)
        if turn >= 3:
            times[index].append(time.perf_counter() - began)
print(json.dumps(times))
"""


class Run:
    def __init__(self, recipe, rounds):
        self.recipe = os.path.abspath(recipe)
        self.rounds = rounds
        self.place = Path(tempfile.mkdtemp(prefix="recipe-figures-"))
        self.work = self.place / "work"
        self.work.mkdir()
        shutil.copytree("recipes", self.work / "recipes")
        self.limit = os.path.abspath("benches/limit.py")
        self.rows = []
        self.memory = 0

    def command(self, *words, store=None):
        """Runs `recipe`; gives the seconds it took and what it printed."""
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["HOME"] = str(self.place)
        words = [self.recipe, *words] + (["--store", str(store)] if store else [])
        with tempfile.TemporaryFile("w+") as out:
            began = time.perf_counter()
            child = subprocess.Popen(words, cwd=self.work, env=env, stdout=out, stderr=out)
            _, status, usage = os.wait4(child.pid, 0)
            took = time.perf_counter() - began
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            text = out.read()
        if child.returncode:
            sys.exit(f"{words}: {text}")
        self.memory = max(self.memory, usage.ru_maxrss)
        return took, text

    def row(self, what, against, value):
        print(f"| {what} | {against} | {value} |", flush=True)
        self.rows.append((what, against, value))

    def pairs(self, what, against, one, other):
        """Interleaved; the median of the ratios."""
        ones, others = [], []
        for _ in range(self.rounds):
            ones.append(one())
            others.append(other())
        ratio = statistics.median(a / b for a, b in zip(ones, others))
        middle = statistics.median
        self.row(what, against, f"**{ratio:.2f} x** ({middle(ones):.3f} s, {middle(others):.3f} s)")

    # ---- what is prepared once ----

    def prepare(self):
        self.command("build", NAME, "--locked")
        self.store = self.place / ".local/share/recipe/store"
        self.closure = (self.work / "result" / NAME).resolve()
        self.sources_only = self.place / "sources-only"
        shutil.copytree(self.store, self.sources_only, symlinks=True)
        subprocess.run(["chmod", "-R", "u+w", self.sources_only], check=True)
        self.sources = self.place / "sources"
        self.sources.mkdir()
        blobs = self.keep_only_sources()
        lock = (self.work / f"recipes/app/{NAME}.lock.kdl").read_text()
        for path, digest in re.findall(r'from "[^"]+" "([^"]+)"\n\s+sha256 "([0-9a-f]+)"', lock):
            blob = blobs[digest]
            shutil.copy(self.sources_only / "blobs" / blob[:2] / blob, self.sources / Path(path).name)

    def keep_only_sources(self):
        """Leaves in the copy of the store what was fetched; sha256 -> blob."""
        blobs = {}
        for trace in self.sources_only.glob("traces/*/*"):
            text = trace.read_text(errors="replace")
            if found := re.search(r"\nstep fetch 1\nsha256 ([0-9a-f]+)", text):
                blobs[found[1]] = re.search(r"\noutput blob:([0-9a-f]+):", text)[1]
            else:
                trace.unlink()
        for blob in self.sources_only.glob("blobs/*/*"):
            if blob.name.removesuffix(".x") not in blobs.values():
                blob.unlink()
        for folder in ("dirs", "trees", "memo", "roots", "tmp"):
            for entry in (self.sources_only / folder).iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        return blobs

    # ---- the figures ----

    def from_nothing(self):
        guards = []

        def ours():
            store = self.place / "store"
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(self.sources_only, store, symlinks=True)
            os.sync()
            took, out = self.command("build", NAME, "--locked", "-o", "from-nothing", store=store)
            guard = float(re.search(r"proof and checks ([0-9.]+) s", out)[1])
            guards.append(guard)
            return took - guard

        def limit():
            out = self.place / "limit"
            words = [self.limit, self.sources, self.closure, out]
            shutil.rmtree(out, ignore_errors=True)
            os.sync()
            return float(subprocess.check_output([sys.executable, *words], text=True).split()[0])

        self.pairs("all sources local, empty store, to a finished closure",
                   "unpack, inflate, byte-compile and write the same files", ours, limit)
        self.row("proof and the recipe's checks", "absolute", f"{statistics.median(guards):.2f} s")

    def requirement_changed(self):
        recipe = self.work / f"recipes/app/{NAME}.kdl"
        lock = self.work / f"recipes/app/{NAME}.lock.kdl"
        kept = recipe.read_text(), lock.read_text()
        recipe.write_text(re.sub(r'(?m)^.*import treelib.*\n', "", kept[0].replace(' "treelib"', "")))
        self.command("lock", NAME)
        times = []
        for _ in range(self.rounds):
            for trace in self.store.glob("traces/*/*"):
                if re.search(rb"\nstep (compose|manifest|proof|check) ", trace.read_bytes()):
                    trace.unlink()
            shutil.rmtree(self.store / "memo")
            (self.store / "memo").mkdir()
            took, out = self.command("build", NAME, "--locked", "-o", "changed")
            times.append(took - float(re.search(r"proof and checks ([0-9.]+) s", out)[1]))
        recipe.write_text(kept[0])
        lock.write_text(kept[1])
        self.command("build", NAME, "--locked")
        self.row("every input unpacked, one requirement changed", "absolute",
                 f"{statistics.median(times):.3f} s")

    def nothing_changed(self):
        self.command("build", NAME)
        times = [self.command("build", NAME)[0] for _ in range(20 * self.rounds)]
        self.row("nothing changed", "absolute, the start of the process included",
                 f"{statistics.median(times) * 1000:.1f} ms")

    def tree_missing(self):
        copy = self.place / "hard links"

        def ours():
            subprocess.run(["chmod", "-R", "u+w", self.closure], check=True)
            shutil.rmtree(self.closure)
            return self.command("build", NAME)[0]

        def links():
            shutil.rmtree(copy, ignore_errors=True)
            began = time.perf_counter()
            subprocess.run(["cp", "-al", self.closure, copy], check=True)
            return time.perf_counter() - began

        self.pairs("everything in the store, the checked-out tree missing", "`cp -al` of it", ours, links)

    def export(self):
        cores = os.cpu_count()
        words = f"tar -C '{self.closure.parent}' -cf - {self.closure.name} | zstd -9 -T{{}} -q -f -o x"
        size = 0

        def ours():
            nonlocal size
            took, _ = self.command("export", NAME)
            size = next(self.work.glob("*.tar.zst")).stat().st_size
            return took

        def plain(threads):
            began = time.perf_counter()
            subprocess.run(words.format(threads), shell=True, check=True, cwd=self.place)
            return time.perf_counter() - began

        self.pairs("export", "`tar \\| zstd -9`", ours, lambda: plain(1))
        self.pairs("export", f"`tar \\| zstd -9 -T{cores}`", ours, lambda: plain(cores))
        self.row("size, exported", "absolute", f"{size / 1e6:.1f} MB")
        took = self.command("export", NAME, "--best")[0]
        slow = next(self.work.glob("*.tar.zst")).stat().st_size
        self.row("size, exported at the slowest level", "absolute", f"{slow / 1e6:.1f} MB in {took:.0f} s")

    def without_byte_code(self):
        recipe = self.work / f"recipes/app/{NAME}.kdl"
        kept = recipe.read_text()
        recipe.write_text(kept.replace("closure {", "closure {\n        byte-code #false\n"))
        self.command("build", NAME, "--locked", "-o", "sources only")
        total = self.bytes_in((self.work / "sources only").resolve())
        sizes = []
        for level in ("9", "20"):
            self.command("export", NAME, "--level", level)
            sizes.append(next(self.work.glob("*.tar.zst")).stat().st_size / 1e6)
        recipe.write_text(kept)
        self.command("build", NAME, "--locked")
        self.row("sizes without byte code: unpacked, exported, at the slowest level", "absolute",
                 f"{total / 1e6:.1f}, {sizes[0]:.1f}, {sizes[1]:.1f} MB")

    @staticmethod
    def bytes_in(folder):
        files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
        return sum(p.stat().st_size for p in files)

    def sizes(self):
        total = self.bytes_in(self.closure)
        self.row("size, unpacked, with byte code", "absolute", f"{total / 1e6:.1f} MB")
        self.row("memory, the most of any command above", "absolute", f"{self.memory / 1000:.0f} MB")

    def starts(self):
        root = self.place / "trixie"
        made = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3.13",
                               "trixie", root], capture_output=True, text=True)
        if made.returncode:
            print(f"no root folder of Debian 13: {made.stderr.strip()[-300:]}", file=sys.stderr)
            return
        shutil.copytree(self.closure, root / "opt/closure", symlinks=True)
        site = root / "opt/venv/lib/python3.13/site-packages"
        shutil.copytree(self.closure / "lib/python3.13/site-packages", site, symlinks=True)
        (root / "opt/venv/bin").mkdir()
        os.symlink("/usr/bin/python3.13", root / "opt/venv/bin/python3")
        (root / "opt/venv/pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
        imports = "import " + ", ".join(MODULES)
        ours, theirs, venv = "/opt/closure/bin/python3", "/usr/bin/python3.13", "/opt/venv/bin/python3"
        for what, against, commands in [
            ("`bin/python3 -c pass`", "the distribution's own", [[ours, "-c", "pass"], [theirs, "-c", "pass"]]),
            ("importing all modules", "the same in a venv on the distribution's", [[ours, "-c", imports], [venv, "-c", imports]]),
        ]:
            rounds = str(40 * self.rounds)
            script = ["unshare", "--mount", "sh", "-ec", 'mount -t proc proc "$0/proc"; mount --bind /dev "$0/dev"; exec chroot "$0" "$@"',
                      root, ours, "-c", STARTS, json.dumps(commands), rounds]
            one, other = json.loads(subprocess.check_output(script, text=True))
            ratio = statistics.median(a / b for a, b in zip(one, other))
            self.row(what, against, f"**{ratio:.2f} x** ({statistics.median(one) * 1000:.1f} ms, "
                                    f"{statistics.median(other) * 1000:.1f} ms)")


def main():
    run = Run(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5)
    try:
        run.prepare()
        print("| what | held against | figure |\n| --- | --- | --- |")
        for figure in (run.from_nothing, run.requirement_changed, run.nothing_changed, run.tree_missing,
                       run.export, run.sizes, run.without_byte_code, run.starts):
            figure()
    finally:
        subprocess.run(["chmod", "-R", "u+w", run.place])
        shutil.rmtree(run.place, ignore_errors=True)


if __name__ == "__main__":
    main()
