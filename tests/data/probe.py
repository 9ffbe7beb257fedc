"""Run-time checks of a closure: run with its own python, prints JSON of name -> ok and detail.

    <closure>/bin/python3 probe.py [--forbid PATH]... [--only NAME]... [--skip NAME]... [--strict]

`ok` is true, false, or null where the place it runs in cannot say (no /proc, no /etc/passwd, ...);
then `detail` gives the reason. Knows host, musl, and empty roots by what it finds. Writes only below
a temporary folder, and needs one that can be written to for `venv`. `--forbid` names a path that no
file of the closure may contain: where it was built. `--strict` exits 1 when a check is false.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile

PRIVATE = ("RCPLOCP", "RTZDR", "RCPTRMNFO_DRS")
CHECKS = {}
CACHE = os.path.join(tempfile.gettempdir(), "probe-%d" % os.getpid())
HOST_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")


class Skip(Exception):
    """The place cannot answer."""


def check(function):
    CHECKS[function.__name__] = function
    return function


def need(condition, reason):
    if not condition:
        raise Skip(reason)


def root():
    return os.path.realpath(sys.base_prefix)


def inside(path):
    return os.path.realpath(path).startswith(root() + "/")


def library():
    return os.path.join(sys.base_prefix, "lib", "python%d.%d" % sys.version_info[:2])


def child(*arguments, **options):
    import subprocess
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, **options)
    if done.returncode:
        raise AssertionError(f"{arguments}: exit {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def python(code, *arguments, **options):
    return child(sys.executable, "-X", "pycache_prefix=" + CACHE, *arguments, "-c", code, **options)


def host_program(*paths):
    found = next((path for path in paths if os.access(path, os.X_OK)), None)
    need(found, "no " + paths[0])
    return found


def walk():
    for folder, folders, files in os.walk(sys.base_prefix):
        for name in files + folders:
            yield os.path.join(folder, name)


# --- identity -----------------------------------------------------------------------------------

@check
def executable():
    assert os.path.isabs(sys.executable), sys.executable
    assert inside(sys.executable), sys.executable
    assert sys.prefix == sys.base_prefix, (sys.prefix, sys.base_prefix)
    assert os.path.dirname(os.path.dirname(os.path.realpath(sys.executable))) == root()
    assert inside(os.__file__), os.__file__
    return sys.executable


@check
def search_path():
    bad = [path for path in sys.path[1:] if path and os.path.exists(path) and not inside(path)]
    assert not bad, bad
    assert os.path.join(library(), "site-packages") in sys.path or not os.path.isdir(library() + "/site-packages")
    return sys.path[1:]


@check
def proc_names():
    need(os.path.exists("/proc/self/exe"), "no /proc")
    exe = os.readlink("/proc/self/exe")
    assert os.path.basename(exe) == "python%d.%d" % sys.version_info[:2] and inside(exe), exe
    with open("/proc/self/comm") as file:
        comm = file.read().strip()
    assert comm.startswith("python"), comm
    return exe


@check
def odd_argv0():
    code = "import sys; print(sys.base_prefix)"
    for argv0 in ("weird", "-python"):
        out = child(argv0, "-B", "-c", code, executable=sys.executable).strip()
        assert os.path.realpath(out) == root(), (argv0, out)


@check
def by_symlink_and_path():
    code = "import sys; print(sys.base_prefix)"
    with tempfile.TemporaryDirectory() as folder:
        link, chain = os.path.join(folder, "py thon"), os.path.join(folder, "chain")
        os.symlink(os.path.realpath(sys.executable), link)
        os.symlink("py thon", chain)
        os.symlink(root(), os.path.join(folder, "dir"))
        for path in (link, chain, os.path.join(folder, "dir/bin/python3")):
            out = child(path, "-c", code).strip()
            assert os.path.realpath(out) == root(), (path, out)
        out = child("./chain", "-c", code, cwd=folder).strip()
        assert os.path.realpath(out) == root(), out
    bin_folder = os.path.join(root(), "bin")
    if ":" not in bin_folder:
        out = child("python3", "-c", code, env={**os.environ, "PATH": bin_folder})
        assert os.path.realpath(out.strip()) == root()


@check
def restarts():
    code = ("import os, sys\n"
            "if len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, '-B', '-c', sys.orig_argv[sys.orig_argv.index('-c') + 1], 'x'])\n"
            "print(sys.base_prefix)")
    assert os.path.realpath(python(code).strip()) == root()


@check
def clean_environment():
    out = python("import sys, encodings; print(sys.base_prefix)", env={})
    assert os.path.realpath(out.strip()) == root()


@check
def child_environment():
    for name in PRIVATE:
        assert name not in os.environ or not os.path.isdir("/usr/share/zoneinfo") or name != "RTZDR", name
    env = {"A": "b", "LD_LIBRARY_PATH": "/nonexistent", "PATH": os.environ.get("PATH", "")}
    code = ("import os, subprocess, sys\n"
            "code = 'import os; print(sorted(k for k in os.environ))'\n"
            "sys.stdout.write(subprocess.run([sys.executable, '-B', '-c', code], capture_output=True, text=True, check=True).stdout)")
    out = python(code, env=env)
    seen = [name for name in eval(out) if name not in ("LC_CTYPE",)]
    extra = sorted(set(seen) - set(env))
    assert set(env) <= set(seen), seen
    assert not set(extra) - set(PRIVATE), extra
    return extra


@check
def child_of_the_host():
    need(os.path.exists("/proc/self/maps"), "no /proc")
    cat = host_program("/bin/cat", "/usr/bin/cat")
    maps = child(cat, "/proc/self/maps")
    assert root() + "/" not in maps, maps
    passed = dict(os.environ, LD_LIBRARY_PATH="/nonexistent")
    code = "import os, subprocess; print(subprocess.run([%r, '/proc/self/environ'], capture_output=True).stdout)" % cat
    assert "LD_LIBRARY_PATH=/nonexistent" in python(code, env=passed)


@check
def library_path_of_the_host():
    with tempfile.TemporaryDirectory() as folder:
        for name in ("libc.so.6", "libm.so.6", "libz.so.1"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b"not a library")
        for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"):
            value = folder if name == "LD_LIBRARY_PATH" else os.path.join(folder, "libz.so.1")
            out = python("import os, zlib; print(os.environ[%r])" % name, env={**os.environ, name: value})
            assert out.strip() == value, (name, out)


# --- modules ------------------------------------------------------------------------------------

@check
def extension_modules():
    import importlib
    folder = os.path.join(library(), "lib-dynload")
    names = sorted({name.split(".")[0] for name in os.listdir(folder) if name.endswith(".so")})
    left = {"_tkinter", "_gdbm"}
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            if name not in left:
                failed[name] = str(error)
    assert not failed, failed
    return len(names)


@check
def standard_library():
    import warnings
    # Modules of other systems, and those that a distribution packs apart or a recipe trims.
    absent = {"_tkinter", "tkinter", "turtle", "turtledemo", "idlelib", "lib2to3", "nis", "_gdbm", "msvcrt", "nt",
              "winreg", "winsound", "_winapi", "_msi", "msilib", "_overlapped", "_wmi", "_scproxy", "ossaudiodev",
              "_osx_support", "_ios_support", "_aix_support", "_android_support", "_apple_support", "pydoc_data",
              "antigravity", "this", "test", "distutils", "ensurepip", "spwd", "_crypt", "crypt", "_pyrepl"}
    failed = {}
    code = "import sys, importlib, warnings; warnings.simplefilter('ignore')\nfailed = {}\n" \
           "for name in sorted(sys.stdlib_module_names - %r):\n" \
           "    try: importlib.import_module(name)\n" \
           "    except ImportError as error: failed[name] = str(error)\n" \
           "print(failed)" % absent
    with warnings.catch_warnings():
        failed = eval(python(code, "-W", "ignore").strip().splitlines()[-1])
    assert not failed, failed


@check
def third_party_modules():
    folder = os.path.join(library(), "site-packages")
    need(os.path.isdir(folder), "no site-packages")
    names = set()
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(os.path.join(path, "__init__.py")):
            names.add(name)
        elif name.endswith((".py", ".so")):
            names.add(name.split(".")[0])
    names -= {"tests", "__pycache__", "_distutils_hack"}
    failed = {}
    for name in sorted(names):
        try:
            python(f"import {name}", "-W", "ignore")
        except AssertionError as error:
            failed[name] = str(error)[-300:]
    assert not failed, failed
    return sorted(names)


@check
def console_scripts():
    """Each answers `--help`, whatever it thinks of it, and by a link as well; none needs a shell."""
    import subprocess
    folder = os.path.join(sys.base_prefix, "libexec/scripts")
    need(os.path.isdir(folder) and os.listdir(folder), "no console scripts")
    failed = {}
    os.makedirs(CACHE, exist_ok=True)
    for name in sorted(os.listdir(folder)):
        link = os.path.join(CACHE, "link to " + name)
        os.symlink(os.path.join(root(), "bin", name), link)
        for path in (os.path.join(sys.base_prefix, "bin", name), link):
            done = subprocess.run([path, "--help"], capture_output=True, text=True, input="", timeout=60)
            if done.returncode not in (0, 1, 2) or "Traceback" in done.stderr:
                failed[path] = (done.returncode, done.stderr[-300:])
        os.unlink(link)
    assert not failed, failed
    return sorted(os.listdir(folder))


@check
def yaml_with_libyaml():
    import importlib.util
    need(importlib.util.find_spec("yaml"), "no yaml")
    import yaml
    assert yaml.__with_libyaml__
    assert yaml.load("a: 1", Loader=yaml.CSafeLoader) == {"a": 1}


@check
def mapped_files():
    need(os.path.exists("/proc/self/maps"), "no /proc")
    code = (
        "import glob, importlib, os, sys, socket, ssl, ctypes, sqlite3, curses, threading\n"
        "for path in glob.glob(os.path.join(glob.escape(os.path.dirname(os.__file__)), 'lib-dynload', '*.so')):\n"
        "    try: importlib.import_module(os.path.basename(path).split('.')[0])\n"
        "    except ImportError: pass\n"
        "try: import pwd; pwd.getpwnam('no-such-user')\n"
        "except KeyError: pass\n"
        "try: socket.getaddrinfo('localhost', 80)\n"
        "except OSError: pass\n"
        "'x'.encode('euc_jp'); t = threading.Thread(target=int); t.start(); t.join()\n"
        "print(open('/proc/self/maps').read())")
    bad = set()
    for line in python(code).splitlines():
        words = line.split(maxsplit=5)
        if len(words) < 6 or not words[5].startswith("/"):
            continue
        path = words[5]
        code_is = "x" in words[1] or ".so" in os.path.basename(path)
        if code_is and not path.startswith(root() + "/"):
            bad.add(path)
    assert not bad, sorted(bad)


@check
def load_by_name():
    import ctypes
    for name in ("libc.so.6", "libssl.so.3", "libz.so.1"):
        if os.path.exists(os.path.join(sys.base_prefix, "lib", name)):
            ctypes.CDLL(name)
    try:
        ctypes.CDLL("libdefinitely-absent.so.0")
    except OSError:
        return
    raise AssertionError("a library that does not exist was loaded")


@check
def find_library():
    from ctypes.util import find_library
    found = {name: find_library(name) for name in ("c", "udev", "nosuch", "z")}
    have = os.listdir(os.path.join(sys.base_prefix, "lib"))
    assert found["c"] == "libc.so.6" and found["nosuch"] is None, found
    assert found["udev"] == ("libudev.so.1" if "libudev.so.1" in have else None), found
    return found


# --- users, names, locale -----------------------------------------------------------------------

@check
def users():
    import grp
    import pwd
    try:
        assert pwd.getpwuid(0).pw_name == "root"
        assert os.path.exists("/etc/passwd")
    except KeyError:
        assert not os.path.exists("/etc/passwd")
    try:
        pwd.getpwnam("no-such-user-at-all")
        raise AssertionError("found a user that does not exist")
    except KeyError:
        pass
    return len(grp.getgrall())


@check
def host_names():
    import socket
    assert socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
    assert socket.getaddrinfo("::1", 80)
    if os.path.exists("/etc/hosts"):
        with open("/etc/hosts") as file:
            if "localhost" in file.read():
                assert socket.getaddrinfo("localhost", 80)
    try:
        socket.getaddrinfo("x.invalid", 80)
        raise AssertionError("x.invalid has an address")
    except socket.gaierror as error:
        return str(error)


@check
def locales():
    code = "import locale; print(locale.setlocale(locale.LC_ALL, ''), locale.setlocale(locale.LC_ALL, 'C.UTF-8'))"
    values = ["C.UTF-8", "C"]
    # The host's locales come first; before glibc 2.35 they have one spelling of this name.
    if not os.path.isdir("/usr/lib/locale/C.UTF-8"):
        values.append("C.utf8")
    seen = [python(code, env={**os.environ, "LC_ALL": value}).strip() for value in values]
    python("import locale; locale.setlocale(locale.LC_ALL, '')", env={**os.environ, "LC_ALL": "", "LANG": "C.UTF-8"})
    return seen


@check
def file_system_encoding():
    for env in ({}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}):
        assert python("import sys; print(sys.getfilesystemencoding())", env=env).strip() == "utf-8", env


# --- data ---------------------------------------------------------------------------------------

@check
def certificates():
    import ssl
    own = os.path.join(sys.base_prefix, "etc/ssl/certs/ca-certificates.crt")
    need(os.path.exists(own) or any(map(os.path.exists, HOST_BUNDLES)), "no certificates packed")
    code = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SSL_CERT_")}
    count = int(python(code, env=bare))
    assert count > 100, count
    cafile = eval(python("import ssl; print(repr(ssl.get_default_verify_paths().cafile))", env=bare))
    assert cafile and os.path.isfile(cafile), cafile
    return [count, cafile, ssl.OPENSSL_VERSION]


@check
def certificates_by_environment():
    source = next((p for p in (os.path.join(sys.base_prefix, "etc/ssl/certs/ca-certificates.crt"), *HOST_BUNDLES)
                   if os.path.exists(p)), None)
    need(source, "no certificates packed")
    with open(source) as file:
        text = file.read()
    end = "-----END CERTIFICATE-----\n"
    start = text.index("-----BEGIN")
    one = text[start:text.index(end, start) + len(end)]
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(one)
        file.flush()
        code = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
        assert python(code, env={**os.environ, "SSL_CERT_FILE": file.name}).strip() == "1"
        shown = python("import ssl; print(ssl.get_default_verify_paths().cafile)", env={**os.environ, "SSL_CERT_FILE": file.name})
        assert shown.strip() == file.name, shown


@check
def openssl_configuration():
    import _ssl
    paths = _ssl.get_default_verify_paths()
    assert not [path for path in paths if path.startswith("/") and os.path.exists(path)], paths
    return paths


@check
def hashes():
    import hashlib
    for name in sorted(hashlib.algorithms_guaranteed):
        hashlib.new(name, b"x")
    return sorted(hashlib.algorithms_available)


@check
def zones():
    import datetime
    import zoneinfo
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    offset = datetime.datetime(2024, 7, 1, tzinfo=zone).utcoffset()
    assert offset == datetime.timedelta(hours=2), offset
    assert os.path.join(sys.base_prefix, "share", "zoneinfo") == zoneinfo.TZPATH[-1], zoneinfo.TZPATH
    code = "import time; time.tzset(); print(time.tzname, time.timezone)"
    out = python(code, env={**os.environ, "TZ": "Europe/Paris"})
    assert "CEST" in out and "-3600" in out, out
    return len(zoneinfo.available_timezones())


@check
def terminals():
    # Without TERM of the host: every name must come out of host or closure.
    code = "import curses; curses.setupterm(%r, 1); print(curses.tigetnum('colors'))"
    env = {k: v for k, v in os.environ.items() if k not in ("TERMINFO", "TERMINFO_DIRS")}
    seen = {name: int(python(code % name, env=env)) for name in ("xterm", "xterm-256color", "screen", "linux", "tmux-256color")}
    assert seen["xterm"] == 8 and seen["xterm-256color"] == 256, seen
    return seen


@check
def mime_types():
    import mimetypes
    assert mimetypes.guess_type("a.html")[0] == "text/html"
    own = os.path.join(sys.base_prefix, "etc/mime.types")
    need(os.path.exists(own), "no mime.types packed")
    assert own in mimetypes.knownfiles
    assert mimetypes.guess_type("a.djvu")[0], "mime.types is not read"


@check
def build_configuration():
    import re
    import sysconfig
    bad = {}
    for name, path in sysconfig.get_paths().items():
        if not path.startswith(sys.base_prefix + "/") and path != sys.base_prefix:
            bad[name] = path
    variables = sysconfig.get_config_vars()
    for name, value in variables.items():
        if isinstance(value, str) and name != "TZPATH" and re.search(r"(?<![\w.}])/(usr|build)\b", value.replace(sys.base_prefix, "")):
            bad[name] = value
    assert not bad, bad
    assert variables["LIBDIR"] == os.path.join(sys.base_prefix, "lib"), variables["LIBDIR"]
    assert variables["CC"].split()[0] == "gcc" and variables["AR"] == "ar", (variables["CC"], variables["AR"])
    assert sysconfig.get_default_scheme() == "posix_prefix"
    assert sysconfig.get_path("purelib") == os.path.join(library(), "site-packages")


@check
def site_folders():
    import site
    import sysconfig
    assert os.path.join(library(), "site-packages") in site.getsitepackages(), site.getsitepackages()
    assert not [path for path in site.getsitepackages() if "dist-packages" in path], site.getsitepackages()
    home = python("import site; print(site.getusersitepackages())", env={"HOME": "/h"}).strip()
    assert "/.local/" not in home, home
    scheme = sysconfig.get_path("purelib", "posix_user")
    assert "/.local/" not in scheme, scheme


@check
def databases_and_archives():
    import bz2
    import lzma
    import sqlite3
    import zlib
    assert sqlite3.connect(":memory:").execute("select sqlite_version()").fetchone()
    for module in (bz2, lzma, zlib):
        assert module.decompress(module.compress(b"x" * 1000)) == b"x" * 1000
    return sqlite3.sqlite_version


# --- processes ----------------------------------------------------------------------------------

def in_child(connection):
    connection.send((sys.base_prefix, sys.executable))


def processes(method):
    import multiprocessing
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=in_child, args=(theirs,))
    process.start()
    assert ours.poll(60), "no answer"
    assert ours.recv() == (sys.base_prefix, sys.executable)
    process.join(60)
    assert process.exitcode == 0, process.exitcode


@check
def spawn():
    processes("spawn")


@check
def forkserver():
    processes("forkserver")


@check
def fork():
    processes("fork")


@check
def locks():
    import multiprocessing
    need(os.path.isdir("/dev/shm"), "no /dev/shm")
    with multiprocessing.Lock():
        pass


@check
def threads():
    import threading
    seen = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start()
    thread.join()
    assert seen == [1]


@check
def thread_exit():
    # libc opens libgcc_s.so.1 by name for this, and aborts without it.
    python("import ctypes, os, threading, time\n"
           "libc = ctypes.CDLL('libc.so.6')\n"
           "threading.Thread(target=lambda: libc.pthread_exit(0), daemon=True).start()\n"
           "time.sleep(0.3)\n"
           "os._exit(0)")


@check
def fault_handler():
    import subprocess
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", "import ctypes; ctypes.string_at(0)"],
                          capture_output=True, text=True)
    assert done.returncode == -11 and "Fatal Python error" in done.stderr, (done.returncode, done.stderr[-300:])


@check
def venv():
    need(os.path.isdir(os.path.join(library(), "ensurepip/_bundled")), "no pip wheel packed")
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "v e")
        python(f"import venv, sys; sys.argv = ['venv', {place!r}]; venv.main([{place!r}])")
        out = child(os.path.join(place, "bin/python"), "-m", "pip", "--version")
        assert place in out or os.path.realpath(place) in out, out
        paths = eval(child(os.path.join(place, "bin/python"), "-c", "import sys; print([sys.prefix, sys.base_prefix])"))
        assert os.path.realpath(paths[1]) == root() and os.path.realpath(paths[0]) == os.path.realpath(place), paths
        return out.strip()


@check
def venv_of_copies_is_linked():
    import subprocess
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--copies", folder], capture_output=True, text=True)
        assert done.returncode == 0 and "linked" in done.stderr, done.stderr
        child(os.path.join(folder, "bin/python"), "-c", "pass")


@check
def helpers_for_tests():
    code = ("import doctest, unittest, unittest.mock\n"
            "class T(unittest.TestCase):\n"
            "    def test(self): self.assertEqual(unittest.mock.Mock(return_value=1)(), 1)\n"
            "assert unittest.main(argv=['x'], exit=False).result.wasSuccessful()")
    python(code)


@check
def tkinter_or_a_clean_answer():
    code = ("try: import tkinter\n"
            "except ModuleNotFoundError as error: assert error.name in ('tkinter', '_tkinter'), error\n"
            "except ImportError as error: assert 'libtk' in str(error) or 'libtcl' in str(error), error")
    python(code)


@check
def help_system():
    assert "Help on" in python("help(len)", input="")


# --- the tree itself ----------------------------------------------------------------------------

@check
def links():
    bad = []
    for path in walk():
        if os.path.islink(path):
            target = os.readlink(path)
            if os.path.isabs(target) or not os.path.exists(path) or not inside(path):
                bad.append((path, target))
    assert not bad, bad


def dynamic(data):
    """DT_NEEDED names, DT_SONAME, DT_RPATH and DT_RUNPATH of an ELF64 file."""
    import struct
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


@check
def needed_libraries():
    have = set(os.listdir(os.path.join(sys.base_prefix, "lib")))
    bad = []
    for path in walk():
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
            file.seek(0)
            facts = dynamic(file.read())
        if facts is None:
            continue
        own = set()
        for entry in ":".join(facts["rpath"] + facts["runpath"]).split(":"):
            if entry and not entry.startswith(("$ORIGIN", "${ORIGIN}")):
                bad.append((path, "search path " + entry))
            folder = entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", os.path.dirname(path))
            if entry and os.path.isdir(folder):
                own |= set(os.listdir(folder))
        if facts["runpath"]:
            bad.append((path, "DT_RUNPATH"))
        bad += [(path, name) for name in facts["needed"] if name not in have | own]
    assert not bad, bad


FORBIDDEN = []


@check
def forbidden_paths():
    need(FORBIDDEN, "no --forbid")
    bad = []
    for path in walk():
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                data = file.read()
            bad += [(path, name) for name in FORBIDDEN if os.fsencode(name) in data]
    assert not bad, bad


@check
def nothing_was_written():
    names = [path for path in walk() if path.endswith((".pyc.tmp", "~", ".orig", ".rej"))]
    assert not names, names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--forbid", action="append", default=[])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    FORBIDDEN.extend(options.forbid)
    # A check that wrote byte code into the closure would change what the next one looks at.
    os.environ["PYTHONPYCACHEPREFIX"] = CACHE
    report = {}
    for name, function in CHECKS.items():
        if name in options.skip or (options.only and name not in options.only):
            continue
        try:
            report[name] = {"ok": True, "detail": function()}
        except Skip as reason:
            report[name] = {"ok": None, "detail": str(reason)}
        except BaseException as error:
            report[name] = {"ok": False, "detail": f"{type(error).__name__}: {error}"[:2000]}
    shutil.rmtree(CACHE, ignore_errors=True)
    json.dump(report, sys.stdout, indent=1, default=str)
    print()
    return int(options.strict and any(entry["ok"] is False for entry in report.values()))


if __name__ == "__main__":
    sys.exit(main())
