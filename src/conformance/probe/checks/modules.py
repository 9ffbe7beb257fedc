"""Whether all modules can be imported, and whose libraries are mapped then."""

import os
import re
import sys
import tempfile

from .ground import check, child, ended, few, first_in_path, foreign_code, in_fork, inside, libraries, need, need_proc
from .ground import site_folders, tree_library
from . import ground

# Modules of other systems, and those that a distribution packs apart or a recipe trims.
ABSENT = {"_tkinter", "tkinter", "turtle", "turtledemo", "idlelib", "lib2to3", "nis", "_gdbm", "msvcrt", "nt",
          "winreg", "winsound", "_winapi", "_msi", "msilib", "_overlapped", "_wmi", "_scproxy", "ossaudiodev",
          "_osx_support", "_ios_support", "_aix_support", "_android_support", "_apple_support", "pydoc_data",
          "antigravity", "this", "test", "distutils", "ensurepip", "spwd", "_crypt", "crypt", "_pyrepl",
          "_bootsubprocess", "nturl2path", "_testcapi"}


def dynamic_modules():
    folder = next((path for path in sys.path if os.path.basename(path) == "lib-dynload" and os.path.isdir(path)), None)
    need(folder, "no lib-dynload")
    need(inside(folder), "the standard library is not in the tree")
    return sorted({name.split(".")[0] for name in os.listdir(folder) if name.endswith(".so")})


def imports(names, after=()):
    """Imports each in a process of its own, where those in `after` are already; tells which fail."""
    import importlib
    import warnings

    def one(name):
        warnings.simplefilter("ignore")
        for other in after:
            importlib.import_module(other)
        importlib.import_module(name)
        return ""
    failed = {}
    for name in names:
        try:
            in_fork(lambda: one(name))
        except AssertionError as error:
            why = str(error)
            failed[name] = why if len(why) < 400 else f"{why[:150]} ... {why[-250:]}"
    return failed


@check
def extension_modules():
    names = dynamic_modules()
    failed = {name: why for name, why in imports(names).items() if name not in ABSENT}
    assert not failed, few(f"{name}: {why}" for name, why in failed.items())
    return len(names)


@check
def standard_library():
    need(hasattr(sys, "stdlib_module_names"), "before Python 3.10 there is no list of it")

    def all_of_it():
        import importlib
        import warnings
        warnings.simplefilter("ignore")
        failed = []
        for name in sorted(sys.stdlib_module_names - ABSENT):
            try:
                importlib.import_module(name)
            except ImportError as error:
                failed.append(f"{name}: {error}")
        return few(failed)
    failed = in_fork(all_of_it)
    assert not failed, failed


@check
def third_party_modules():
    folders = site_folders()
    need(folders, "no packages in the tree")
    names = set()
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            if os.path.isfile(os.path.join(folder, name, "__init__.py")):
                names.add(name)
            elif name.endswith((".py", ".so")):
                names.add(name.split(".")[0])
    # Fixtures that a package installed by mistake, and modules that patch whoever imports them.
    names -= {"tests", "test", "_distutils_hack", "distutils-precedence"}
    failed = imports(sorted(names))
    # A few want to be imported by another package, and refuse anybody else.
    failed = {name: why for name, why in failed.items() if imports([name], sorted(names - set(failed)))}
    failed = {name: why for name, why in failed.items()
              if not is_undeclared(name, why, folders) and not wants_a_program(why)}
    assert not failed, few(f"{name}: {why}" for name, why in failed.items())
    return sorted(names)


def wants_a_program(why):
    """Whether a package refuses to be imported for a program of the host that is not here, by its name."""
    import re
    import shutil
    named = re.search(r"^ImportError: .*?(\w+) executable\b", why)
    return bool(named) and shutil.which(named[1]) is None


def is_undeclared(name, why, folders):
    """Whether `name` is only not imported for a project that its package never asks for: whoever installs that
    package alone lacks it too."""
    import importlib.metadata
    import re
    missing = re.match(r"ModuleNotFoundError: No module named '(\w+)", why)
    if not missing or missing[1] in getattr(sys, "stdlib_module_names", missing[1]):
        return False

    def plain(project):
        return re.sub(r"[-_.]+", "-", project).lower()
    packages = list(importlib.metadata.distributions(path=folders))
    owns = {f"{name}.py", f"{name}/__init__.py"}
    owner = next((it for it in packages if any(str(file) in owns for file in it.files or [])), None)
    if owner is None:
        return False
    installed = {plain(it.metadata["Name"]) for it in packages}
    for line in owner.requires or []:
        asked, _, marker = line.partition(";")
        project = plain(re.match(r"[\w.-]+", asked)[0])
        if "extra" not in marker and (project == plain(missing[1]) or not marker and project not in installed):
            return False
    return True


@check
def isolated():
    """The packages of the tree are its own: no flag that shuts out the user's may lose them."""
    folders = site_folders()
    need(folders, "no packages in the tree")
    for flags in (("-I",), ("-E",), ("-s",)) + ((("-P",),) if sys.version_info >= (3, 11) else ()):
        path = eval(child(sys.executable, *flags, "-c", "import sys; print(sys.path)"))
        lost = [folder for folder in folders if folder not in path]
        assert not lost, f"{' '.join(flags)} loses {few(lost)}"


@check
def yaml_with_libyaml():
    import importlib.util
    need(importlib.util.find_spec("yaml"), "no yaml")
    import yaml
    assert yaml.__with_libyaml__, "yaml is without libyaml"
    assert yaml.load("a: 1", Loader=yaml.CSafeLoader) == {"a": 1}


@check
def mapped_files():
    need_proc()

    def use_them_all():
        import importlib
        import socket
        import threading
        for name in ("ssl", "ctypes", "sqlite3", "curses", "pwd", *dynamic_names()):
            try:
                importlib.import_module(name)
            except ImportError:
                pass
        for question in (lambda: sys.modules["pwd"].getpwnam("no-such-user"), lambda: socket.getaddrinfo("localhost", 80)):
            try:
                question()
            except (KeyError, OSError):
                pass
        "x".encode("euc_jp")
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        with open("/proc/self/maps") as file:
            return file.read()
    bad = foreign_code(in_fork(use_them_all))
    assert not bad, f"not of the tree: {few(bad)}"


def dynamic_names():
    try:
        return dynamic_modules()
    except ground.Skip:
        return []


@check
def character_sets():
    """The C library's own conversions may not load the host's modules."""
    need_proc()

    def convert():
        import ctypes
        libc = ctypes.CDLL(None)
        libc.iconv_open.restype = ctypes.c_void_p
        libc.iconv_open(b"UTF-16", b"EUC-JP")
        with open("/proc/self/maps") as file:
            return file.read()
    bad = [path for path in foreign_code(in_fork(convert)) if "gconv" in path]
    assert not bad, few(bad)


@check
def load_by_name():
    need_proc()

    def load():
        import ctypes
        for name in sorted(set(libraries()) & {"libc.so.6", "libssl.so.3", "libz.so.1"}):
            ctypes.CDLL(name)
        try:
            ctypes.CDLL("libdefinitely-absent.so.0")
        except OSError:
            pass
        else:
            raise AssertionError("a library that does not exist was loaded")
        # One that any host with a C library has, and few trees.
        try:
            ctypes.CDLL("libcrypt.so.1" if "libcrypt.so.1" not in libraries() else "libnss_systemd.so.2")
        except OSError:
            pass
        with open("/proc/self/maps") as file:
            return file.read()
    bad = foreign_code(in_fork(load))
    assert not bad, f"not of the tree: {few(bad)}"


@check
def find_library():
    from ctypes.util import find_library
    have = libraries()
    found = {name: find_library(name) for name in ("c", "udev", "nosuch", "z")}
    wanted = {"c": "libc.so.6", "udev": "libudev.so.1" if "libudev.so.1" in have else None, "nosuch": None,
              "z": "libz.so.1" if "libz.so.1" in have else None}
    assert found == wanted, f"found {found}"
    return found


def program_files():
    """Programs of installed packages that lie beside Python, by name."""
    import importlib.metadata
    points = importlib.metadata.entry_points()
    if hasattr(points, "select"):
        chosen = points.select(group="console_scripts")
    else:
        chosen = points.get("console_scripts", [])
    folder = os.path.dirname(os.path.abspath(ground.STARTED))
    names = {point.name for point in chosen}
    return {name: os.path.join(folder, name) for name in sorted(names) if os.path.isfile(os.path.join(folder, name))}


# Where a machine tells about itself: a closure brings none of it.
OF_THE_MACHINE = re.compile(r"FileNotFoundError: .*'(/(?:proc|sys|dev|etc|run|var)/[^']*)'")


def runs_all_the_same(said):
    """Whether a traceback ends in what a package says for itself or where it asks a person, which takes that it runs, or
    in the want of what this root has not: a device, a file of the machine, an account."""
    last = (said.strip().splitlines() or [""])[-1]
    kind = last.split(":")[0]
    if kind == "EOFError":
        return True
    wanted = OF_THE_MACHINE.search(last)
    if wanted and not os.path.exists(wanted.group(1)) or kind == "KeyError" and "uid not found" in last:
        return True
    package = kind.split(".")[0]
    of_a_package = "." in kind and any(os.path.exists(os.path.join(folder, package + ending))
                                       for folder in site_folders() for ending in ("", ".py"))
    return of_a_package or (not os.path.exists(os.devnull) and repr(os.devnull) in said)


@check
def console_scripts():
    """Each answers `--help`, whatever it thinks of it, also by a link and by PATH; none needs a shell."""
    import subprocess
    need(site_folders(), "no packages in the tree")
    programs = program_files()
    need(programs, "no console scripts")
    failed = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, program in programs.items():
            link = os.path.join(folder, "link to " + name)
            os.symlink(program, link)
            bin_folder = os.path.dirname(program)
            ways = [(program, None), (link, None)] + ([(name, bin_folder)] if ":" not in bin_folder else [])
            for path, search in ways:
                env = dict(os.environ, PATH=first_in_path(search)) if search else None
                try:
                    done = subprocess.run([path, "--help"], capture_output=True, text=True, input="", timeout=60, env=env)
                except OSError as error:
                    failed[path] = str(error)
                    continue
                broke = "Traceback" in done.stderr and not runs_all_the_same(done.stderr)
                if done.returncode not in (0, 1, 2) or broke:
                    failed[path] = f"{ended(done.returncode)}: {done.stderr[-300:]}"
    assert not failed, few(f"{path}: {why}" for path, why in failed.items())
    return sorted(programs)


def a_library():
    """A library that wants a version of the C library which nobody has yet: its bytes."""
    folders = [tree_library(), "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"]
    for folder in folders:
        for name in ("libz.so.1", "libexpat.so.1", "libbz2.so.1.0", "libuuid.so.1"):
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
            except OSError:
                continue
            changed, count = re.subn(rb"\0GLIBC_2(\.[0-9.]+)\0", rb"\0GLIBC_9\1\0", data)
            if count:
                return changed
    return None


@check
def libraries_of_the_host():
    """LD_LIBRARY_PATH with another C library, LD_PRELOAD and LD_AUDIT of what needs a newer one."""
    newer = a_library()
    need(newer, "no library to make a newer one of")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("libc.so.6", "libm.so.6"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b"not a library")
        with open(os.path.join(folder, "libz.so.1"), "wb") as file:
            file.write(newer)
        for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"):
            value = folder if name == "LD_LIBRARY_PATH" else os.path.join(folder, "libz.so.1")
            code = "import os, zlib; print(os.environ.get(%r))" % name
            try:
                out = child(sys.executable, "-c", code, env={**os.environ, name: value})
            except AssertionError as error:
                raise AssertionError(f"with {name} of another C library: {error}") from None
            assert out.strip() == value, f"{name} is {out.strip()} in the program"


@check
def preload_file_of_the_host():
    import subprocess
    need(os.path.exists("/etc/ld.so.preload"), "no /etc/ld.so.preload")
    done = subprocess.run([sys.executable, "-c", "pass"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr[-500:] or ended(done.returncode)
