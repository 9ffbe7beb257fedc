#!/usr/bin/env python3
"""A tree into a cache and out of it, against the tools that people have for that.

    benches/caches.py RECIPE TREE [ROUNDS [PEER...]]

RECIPE is a release build of the command, TREE a folder; a recipe is made whose build is a copy of it, and a second one
in which every hundredth file is another. Rounds are interleaved, everything lies on the file system of TMPDIR, and the
medians of the ratios are printed: into an empty place against `tar | zstd -3`, out of it into an empty one against
`zstd -d | tar x`, and the bytes that a change moves. Those of nginx, nix, ostree, casync and rsync that are installed
(and named, if any is) are asked the same.
"""
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
from pathlib import Path

from common import free_port, nginx, timed, wait_for

RECIPE = """recipe "{name}" version="1" {{
    sysroot "debian" suite="trixie" {{ package "coreutils"; }}
    system {{ package "libstdc++6"; package "zlib1g"; }}
    source "tree" {{ url "{url}" sha256="{sha256}"; }}
    build {{ run "mkdir" "-p" "$out/lib"; run "cp" "-a" "." "$out/lib/tree"; }}
}}
"""
DAV = "root {place}/www; dav_methods PUT; create_full_put_path on; dav_access all:rw;"


def size(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())


def shell(script):
    return timed(["sh", "-ec", script])[0]


def remove(path):
    subprocess.run(["chmod", "-R", "u+w", path], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(path, ignore_errors=True)


def change(tree):
    """Every hundredth file becomes another: some of its bytes are changed. How many, and their size."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    changed = files[50::100]
    for path in changed:
        path.chmod(0o644 | path.stat().st_mode)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(b"changed!")
    return len(changed), sum(path.stat().st_size for path in changed)


class Peer:
    def moved(self, tree):
        """Bytes that a second tree adds."""
        before = self.stored()
        self.put(tree)
        return self.stored() - before


class Ours(Peer):
    def __init__(self, recipe, place, cache="www/recipe", url=None, name="recipe"):
        self.recipe, self.place, self.name = recipe, place, name
        self.folder, self.url = place / cache, url or place / cache
        self.env = dict(os.environ, XDG_CONFIG_HOME=str(place / "config"), RECIPE_STORE=str(place / "store"))

    def run(self, *words):
        took, self.said = timed([self.recipe, *words], cwd=self.place, env=self.env)
        return took

    def put(self, tree):
        return self.run("push", tree.name, "--to", self.url)

    def get(self, tree, into):
        took = self.run("pull", tree.name, "--cache", self.url, "--store", into, "--out-link", f"{into}.link")
        return took

    def stored(self):
        return size(self.folder)


class Nix(Peer):
    name = "nix copy (zstd)"
    folder = "nix-cache"

    def __init__(self, place):
        self.place, self.root, self.paths = place, place / "nix", {}
        self.cache = f"file://{place}/{self.folder}?compression=zstd"

    def nix(self, *words):
        return timed(["nix", "--extra-experimental-features", "nix-command", *words])

    def put(self, tree):
        if tree not in self.paths:
            self.paths[tree] = self.nix("store", "add-path", "--store", self.root, "--name", "tree", tree)[1].strip()
        return self.nix("copy", "--store", self.root, "--to", self.cache, self.paths[tree])[0]

    def get(self, tree, into):
        return self.nix("copy", "--no-check-sigs", "--store", into, "--from", self.cache, self.paths[tree])[0]

    def stored(self):
        return size(self.place / self.folder)


class Ostree(Peer):
    name = "ostree (archive)"

    def __init__(self, place):
        self.repo = place / "ostree"
        shell(f"ostree --repo={self.repo} init --mode=archive")

    def put(self, tree):
        return shell(f"ostree --repo={self.repo} commit -b {tree.name} --tree=dir={tree}")

    def get(self, tree, into):
        return shell(f"ostree --repo={into} init --mode=bare-user; ostree --repo={into} pull-local {self.repo} {tree.name}; "
                     f"ostree --repo={into} checkout -U -H {tree.name} {into}.out")

    def stored(self):
        return size(self.repo)


class Casync(Peer):
    name = "casync"

    def __init__(self, place):
        self.store = place / "casync"
        self.store.mkdir()

    def put(self, tree):
        return shell(f"casync make --without=all --with=unix --store={self.store} {self.store}/{tree.name}.caidx {tree}")

    def get(self, tree, into):
        return shell(f"mkdir {into}; casync extract --without=all --with=unix --store={self.store} {self.store}/{tree.name}.caidx {into}")

    def stored(self):
        return size(self.store)


class Rsync(Peer):
    name = "rsync"

    def __init__(self, place):
        self.folder = place / "rsync"

    def put(self, tree):
        return shell(f"rsync -a --delete {tree}/ {self.folder}/")

    def get(self, tree, into):
        return shell(f"rsync -a {self.folder}/ {into}/")

    def stored(self):
        return size(self.folder)

    def moved(self, tree):
        said = timed(["rsync", "-a", "--no-whole-file", "--stats", "--delete", f"{tree}/", f"{self.folder}/"])[1]
        return int(re.search(r"Total bytes sent: ([\d,]+)", said)[1].replace(",", ""))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def build(ours, tree, place):
    """Builds a recipe that gives this tree; its source is an archive behind a URL."""
    archive = place / "trees" / f"{tree.name}.tar"
    shell(f"tar -C {tree.parent} -cf {archive} {tree.name}")
    handler = functools.partial(Quiet, directory=archive.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/{archive.name}"
    (place / f"recipes/{tree.name}.kdl").write_text(RECIPE.format(name=tree.name, url=url, sha256=sha256))
    ours.run("build", tree.name)
    server.shutdown()
    archive.unlink()


def main():
    recipe, tree = os.path.abspath(sys.argv[1]), Path(sys.argv[2]).resolve()
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    place = Path(tempfile.mkdtemp(prefix="recipe-caches-"))
    for folder in "recipes", "www", "trees":
        (place / folder).mkdir()
    first, second = place / "trees/first", place / "trees/second"
    for copy in first, second:
        subprocess.run(["cp", "-a", tree, copy], check=True)
    count, raw = change(second)
    ours = Ours(recipe, place)
    ours.run("key", "new", "bench")
    ours.run("key", "trust", re.search(r"bench:\S+", ours.said)[0])
    for copy in first, second:
        build(ours, copy, place)
    # All of them get what was built: the tree, the libraries that it needs, and the manifest.
    first, second = place / "closures/first", place / "closures/second"
    for closure in first, second:
        shell(f"mkdir -p {closure}; cp -a {place}/result/{closure.name}/. {closure}; chmod -R u+w {closure}")
    server, peers = None, [ours]
    wanted = lambda program: shutil.which(program) and (program in sys.argv[4:] or not sys.argv[4:])
    if wanted("nginx"):
        port = free_port()
        logs = f"access_log {place}/access.log; client_body_temp_path {place}/body; client_max_body_size 0;"
        server, url = nginx(place, DAV.format(place=place), f"127.0.0.1:{port}", logs), f"http://127.0.0.1:{port}/http"
        wait_for(port)
        peers.append(Ours(recipe, place, "www/http", url, "recipe, nginx"))
    for program, peer in ("nix", Nix), ("ostree", Ostree), ("casync", Casync), ("rsync", Rsync):
        if wanted(program):
            peers.append(peer(place))
    puts, gets, plain_puts, plain_gets, there = {}, {}, [], [], []
    moved, stored = {}, {}
    archive = place / "tree.tar.zst"
    for number in range(rounds):
        plain_puts.append(shell(f"tar -C {first} -c . | zstd -3 -q -f -o {archive}"))
        plain_gets.append(shell(f"mkdir {place}/plain; zstd -d -q -c {archive} | tar -C {place}/plain -x"))
        remove(place / "plain")
        for peer in peers:
            puts.setdefault(peer.name, []).append(peer.put(first))
            stored[peer.name] = peer.stored()
            if peer is ours:
                there.append(peer.put(first))
            into = place / "into"
            gets.setdefault(peer.name, []).append(peer.get(first, into))
            for path in place.glob("into*"):
                remove(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if number == 0:
            for peer in peers:
                moved[peer.name] = peer.moved(second)
        if number + 1 < rounds:
            for folder in "www/recipe", "www/http", Nix.folder, "ostree", "casync", "rsync":
                remove(place / folder)
            for peer in peers:
                if isinstance(peer, (Ostree, Casync)):
                    peer.__init__(place)
    print("| | in | ratio | out | ratio | stored | moved by the change |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    median = statistics.median
    rows = {"tar, zstd -3": (plain_puts, plain_gets, archive.stat().st_size, None)}
    rows |= {peer.name: (puts[peer.name], gets[peer.name], stored[peer.name], moved[peer.name]) for peer in peers}
    for name, (put, get, kept, came) in rows.items():
        ratio = [median(a / b for a, b in zip(one, other)) for one, other in ((put, plain_puts), (get, plain_gets))]
        came = "" if came is None else f"{came / 1e6:.2f} MB"
        print(f"| {name} | {median(put):.2f} s | {ratio[0]:.2f} x | {median(get):.2f} s | {ratio[1]:.2f} x "
              f"| {kept / 1e6:.1f} MB | {came} |")
    files = sum(1 for path in first.rglob("*") if path.is_file())
    print(f"\n{size(first) / 1e6:.1f} MB in {files:,} files; changed: {count} of them, {raw / 1e6:.2f} MB; "
          f"already there: {median(there) * 1e3:.0f} ms; indexes {size(place / 'www/recipe/index') / 1e6:.2f} MB")
    if server:
        server.terminate()
        requests = [line.split('"')[1] for line in (place / "access.log").read_text().splitlines()]
        print(f"requests to nginx, of {rounds} rounds and the change: {len(requests)}")
    remove(place)


if __name__ == "__main__":
    main()
