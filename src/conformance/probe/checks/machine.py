"""What is done with a Python on a real machine: venv and pip, debuggers, loaders, privileges."""

import os
import sys
import tempfile

from . import ground
from .ground import check, child, ended, few, host_program, in_fork, inside, is_lent, library, need, need_proc, python, root, tree_library

HOME = "import sys; print(sys.base_prefix)"


def need_pip():
    need(os.path.isdir(os.path.join(library(), "ensurepip")), "no ensurepip")
    python("import venv")


def make_venv(place, *flags):
    child(sys.executable, "-m", "venv", *flags, place)
    return os.path.join(place, "bin/python")


@check
def venv():
    need_pip()
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "v e")
        own = make_venv(place)
        out = child(own, "-m", "pip", "--version")
        assert place in out or os.path.realpath(place) in out, out
        paths = eval(child(own, "-c", "import sys; print([sys.prefix, sys.base_prefix])"))
        assert inside(paths[1]), f"its base is {paths[1]}"
        assert os.path.realpath(paths[0]) == os.path.realpath(place), paths
        return out.strip()


@check
def venv_of_copies():
    """A copied interpreter works, or it is linked and that is said."""
    import subprocess
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--copies", folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-400:]
        out = child(os.path.join(folder, "bin/python"), "-c", HOME).strip()
        assert inside(out), f"its base is {out}"


WHEEL = {
    "conformance_wheel.py": "def main():\n    print('the wheel runs')\n",
    "conformance_wheel-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: conformance-wheel\nVersion: 1\n",
    "conformance_wheel-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "conformance_wheel-1.dist-info/entry_points.txt": "[console_scripts]\nconformance-wheel = conformance_wheel:main\n",
}


@check
def wheel():
    import zipfile
    need_pip()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "conformance_wheel-1-py3-none-any.whl")
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in WHEEL.items():
                archive.writestr(name, text)
            record = "".join(name + ",,\n" for name in WHEEL)
            archive.writestr("conformance_wheel-1.dist-info/RECORD", record + "conformance_wheel-1.dist-info/RECORD,,\n")
        place = os.path.join(folder, "v")
        own = make_venv(place)
        child(own, "-m", "pip", "install", "--no-index", "--disable-pip-version-check", path)
        assert child(os.path.join(place, "bin/conformance-wheel")).strip() == "the wheel runs"
        target = os.path.join(folder, "overlay")
        child(own, "-m", "pip", "install", "--no-index", "--disable-pip-version-check", "--target", target, path)
        python("import conformance_wheel", env={**os.environ, "PYTHONPATH": target})


SDIST = {
    "setup.py": "from setuptools import setup, Extension\n"
                "setup(name='conformance_sdist', version='1', ext_modules=[Extension('conformance_sdist', ['m.c'])])\n",
    "m.c": "#include <Python.h>\n"
           "static struct PyModuleDef m = {PyModuleDef_HEAD_INIT, \"conformance_sdist\", 0, -1, 0};\n"
           "PyMODINIT_FUNC PyInit_conformance_sdist(void) { return PyModule_Create(&m); }\n",
}


def in_tree(package):
    import importlib.util
    found = importlib.util.find_spec(package)
    return found and inside(found.origin)


@check
def source_distribution():
    import importlib.metadata
    import sysconfig
    headers = os.path.join(sysconfig.get_path("include"), "Python.h")
    need(os.path.exists(headers) and inside(headers), "no Python.h in the tree")
    need(in_tree("setuptools"), "no setuptools in the tree, and nothing is fetched here")
    version = importlib.metadata.version("setuptools")
    need(in_tree("wheel") or tuple(map(int, version.split(".")[:2])) >= (70, 1),
         f"no wheel in the tree, which its setuptools {version} needs, and nothing is fetched here")
    need_pip()
    host_program("/usr/bin/gcc")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SDIST.items():
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        own = make_venv(os.path.join(folder, "v"), "--system-site-packages")
        child(own, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--disable-pip-version-check", folder)
        child(own, "-c", "import conformance_sdist")


class Sleeper:
    """A Python of the tree that has a few libraries loaded and waits, and lets itself be traced."""

    CODE = ("import ctypes, ssl, sys, time\n"
            "ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)\n"
            "print('ready', flush=True)\n"
            "time.sleep(300)")

    def __enter__(self):
        import subprocess
        self.process = subprocess.Popen([sys.executable, "-c", self.CODE], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self.process.pid

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def shared_libraries(gdb, *words):
    import subprocess
    done = subprocess.run([gdb, "-nx", "-batch", "-iex", "set debuginfod enabled off", *words], capture_output=True,
                          text=True, timeout=120, input="", env={**os.environ, "HOME": "/nonexistent"})
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        raise ground.Skip("processes cannot be traced here")
    lines = [line for line in done.stdout.splitlines() if line.startswith("0x") and " /" in line]
    paths = [line[line.index(" /") + 1:] for line in lines]
    assert paths, f"gdb lists no library: {(done.stderr or done.stdout)[-400:]}"
    return paths


def all_of_the_tree(paths):
    bad = [path for path in paths if not inside(path) and not is_lent(path)]
    assert not bad, f"not of the tree: {few(bad)}"
    return len(paths)


@check
def debugger():
    need_proc()
    gdb = host_program("/usr/bin/gdb")
    with Sleeper() as pid:
        return all_of_the_tree(shared_libraries(gdb, "-p", str(pid), "-ex", "info sharedlibrary"))


@check
def core():
    need_proc()
    gdb = host_program("/usr/bin/gdb")
    with tempfile.TemporaryDirectory() as folder, Sleeper() as pid:
        path = os.path.join(folder, "core")
        shared_libraries(gdb, "-p", str(pid), "-ex", "info sharedlibrary", "-ex", "generate-core-file " + path)
        need(os.path.exists(path), "gdb writes no core here")
        program = os.path.realpath(f"/proc/{pid}/exe")
        return all_of_the_tree(shared_libraries(gdb, program, path, "-ex", "info sharedlibrary"))


@check
def profiler():
    import subprocess
    need_proc()
    perf = host_program("/usr/bin/perf")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data")
        words = [perf, "record", "-q", "-o", path, sys.executable, "-c", "sum(i * i for i in range(3000000))"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=folder)
        need(done.returncode == 0 and os.path.exists(path), f"perf cannot record here: {done.stderr.strip()[-200:]}")
        done = subprocess.run([perf, "report", "-i", path, "--stdio", "--sort", "dso", "-F", "overhead,dso"],
                              capture_output=True, text=True, timeout=120, cwd=folder)
        need(done.returncode == 0, f"perf cannot report here: {done.stderr.strip()[-200:]}")
        name = os.path.basename(os.path.realpath("/proc/self/exe"))
        assert name in done.stdout or "libpython" in done.stdout, done.stdout[-400:]


def loader():
    folders = (tree_library(), os.path.join(root(), "libreloc"), os.path.join(root(), "lib64"))
    names = (os.path.join(folder, "ld-linux-x86-64.so.2") for folder in folders)
    own = next((path for path in names if os.path.exists(path)), None)
    need(own, "no loader in the tree")
    return own


@check
def by_its_loader():
    own = loader()
    out = child(own, os.path.realpath(sys.executable), "-c", HOME).strip()
    assert inside(out), f"its prefix is {out}"


@check
def listed_libraries():
    import subprocess
    ldd = host_program("/usr/bin/ldd")
    done = subprocess.run([ldd, os.path.realpath(sys.executable)], capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    # ldd is the host's own loader; one that is older than the tree's C library cannot list it.
    need("version `GLIBC_" not in said, "the host's loader is older than the tree's C library")
    assert done.returncode == 0 and "not found" not in done.stdout, said[-400:]


# Who starts a program that would gain something, and whose rights it would gain: nobody's.
STARTER, OWNER = 65533, 65534


def program_that_gains(change):
    """A copy of the interpreter in a tree of its own, which is then changed: how it ends."""
    import shutil
    import subprocess

    def run():
        # What unpacks itself would do so where its caller wants.
        environment = dict(os.environ, TMPDIR=folder)
        return subprocess.run([copy, "-c", MAPPED], capture_output=True, text=True, timeout=60, cwd="/", env=environment,
                              preexec_fn=lambda: (os.setgroups([]), os.setgid(STARTER), os.setuid(STARTER)))
    real = os.path.realpath(sys.executable)
    need(inside(real), "the interpreter is not in the tree")
    need_reach()
    with tempfile.TemporaryDirectory() as folder:
        # Nobody else of this machine may come near it; the program may, by its group.
        os.chown(folder, STARTER, STARTER)
        os.chmod(folder, 0o770)
        below = os.path.relpath(real, root())
        copy = os.path.join(folder, below)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(real, copy)
        os.chown(copy, OWNER, OWNER)
        os.chmod(copy, 0o755)
        for name in os.listdir(root()):
            if name != below.split(os.sep)[0]:
                os.symlink(os.path.join(root(), name), os.path.join(folder, name))
        plain = run()
        need(plain.returncode == 0, f"a copy does not start as it is: {plain.stderr.strip()[-200:]}")
        change(copy)
        done = run()
        done.planted = [path for path in done.stdout.split("\n") if path.startswith(folder) and path != copy]
        return done


def need_reach():
    def reach():
        os.setuid(STARTER)
        return str(os.access(os.path.realpath(sys.executable), os.X_OK))
    need(in_fork(reach) == "True", "another user cannot reach the tree")


def need_root():
    need_proc()
    with open("/proc/self/status") as file:
        words = dict(line.split(":", 1) for line in file if ":" in line)
    need(os.geteuid() == 0 and int(words["CapEff"].strip(), 16) & (1 << 7), "only root can give privileges")
    need(words.get("NoNewPrivs", "1").strip() == "0", "programs cannot gain privileges here")


# Prints the libraries that are mapped; nothing where the kernel does not tell.
MAPPED = """
import sys
for line in open('/proc/self/maps'):
    words = line.rstrip().split(None, 5)
    if len(words) == 6 and words[5].startswith('/'): print(words[5])
"""


def is_refused(done):
    """Refused; or all it loads comes from a place that its caller has no say in."""
    if done.returncode == 0 and done.stdout.strip():
        assert not done.planted, f"it ran, with {done.planted[0]}"
        return "it ran, with libraries from elsewhere"
    assert done.returncode == 127, f"{ended(done.returncode)}: {(done.stdout + done.stderr).strip()[-300:]}"
    return done.stderr.strip()[-200:]


@check
def set_user_id():
    need_root()
    return is_refused(program_that_gains(lambda path: os.chmod(path, 0o4755)))


@check
def file_capabilities():
    import struct
    need_root()
    # VFS_CAP_REVISION_2 with the effective bit, and CAP_BLOCK_SUSPEND permitted.
    value = struct.pack("<5I", 0x02000001, 0, 0, 1 << 4, 0)
    return is_refused(program_that_gains(lambda path: os.setxattr(path, "security.capability", value)))


@check
def ambient_capability():
    need_root()
    setpriv = host_program("/usr/bin/setpriv")
    code = ("import socket\n"
            "words = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)\n"
            "assert int(words['CapEff'], 16) == 1 << 10, words['CapEff']\n"
            "for port in range(81, 1024):\n"
            "    try: socket.create_server(('127.0.0.1', port)).close(); break\n"
            "    except OSError as error:\n"
            "        if error.errno != 98: raise")
    need_reach()
    child(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_bind_service",
          "--ambient-caps=+net_bind_service", sys.executable, "-c", code, cwd="/")
