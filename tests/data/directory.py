"""The root digest of a folder as the Remote Execution API, version 2, would have it with BLAKE3: an encoder of its own.

    directory.py FOLDER        prints HEX:SIZE of the folder's Directory message

Fields are those of build.bazel.remote.execution.v2 (remote_execution.proto): Directory { files = 1, directories = 2,
symlinks = 3 }, FileNode { name = 1, digest = 2, is_executable = 4 }, DirectoryNode { name = 1, digest = 2 },
SymlinkNode { name = 1, target = 2 }, Digest { hash = 1, size_bytes = 2 }. Hashes are b3sum's.
"""
import os
import subprocess
import sys


def varint(number):
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(number, value):
    """Length-delimited for bytes and text, a varint for numbers; what has its default is left out."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def digest(hexes, size):
    return field(1, hexes) + field(2, size)


def hashes(paths):
    """b3sum takes many files at once."""
    found = {}
    paths = list(paths)
    for at in range(0, len(paths), 500):
        part = paths[at:at + 500]
        out = subprocess.run(["b3sum", "--no-names", "--", *part], check=True, capture_output=True, text=True).stdout
        found.update(zip(part, out.split()))
    return found


def message(folder, known):
    files, folders, links = [], [], []
    for entry in sorted(os.scandir(os.fsencode(folder)), key=lambda entry: entry.name):
        name, path = entry.name, entry.path
        if entry.is_symlink():
            links.append(field(3, field(1, name) + field(2, os.readlink(path))))
        elif entry.is_dir():
            inner = message(path, known)
            hexes = subprocess.run(["b3sum"], input=inner, check=True, capture_output=True).stdout.split()[0]
            folders.append(field(2, field(1, name) + field(2, digest(hexes, len(inner)))))
        else:
            status = entry.stat()
            node = field(1, name) + field(2, digest(known[path], status.st_size))
            files.append(field(1, node + field(4, int(bool(status.st_mode & 0o100)))))
    return b"".join(files + folders + links)


top = os.fsencode(os.path.realpath(sys.argv[1]))
every = [os.path.join(at, name) for at, _, names in os.walk(top) for name in names]
root = message(top, hashes(path for path in every if not os.path.islink(path)))
hexes = subprocess.run(["b3sum"], input=root, check=True, capture_output=True).stdout.split()[0].decode()
print(f"{hexes}:{len(root)}")
