"""What the checks share: their list, ways to start children, and the tree they are about."""

import os
import sys
import tempfile

CHECKS = {}
CACHE = os.path.join(tempfile.gettempdir() if os.path.isdir("/tmp") else "/nonexistent", "probe-%d" % os.getpid())
# Set by `probe.py`: the tree, the path it was started by, the names of the variables it was given.
TREE = sys.base_prefix
STARTED = sys.executable
GIVEN = None
# What a closure of `recipe` may add to the environment on a bare host.
PRIVATE = ("RCPLOCP", "RTZDR", "RCPTRMNFO_DRS")
# Set by `probe.py`: what this tree may add to the environment anywhere, and whether it may have code of the host for
# what it lacks itself, because it says so.
MAY_ADD = frozenset()
HOST_CODE = False
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


def need_proc():
    need(os.path.exists("/proc/self/maps"), "no /proc")


def root():
    return TREE


def inside(path):
    return bool(path) and (os.path.realpath(path) + "/").startswith(root() + "/")


def is_home(prefix):
    """Whether a printed `sys.base_prefix` is that of this process."""
    return os.path.realpath(prefix.strip()) == os.path.realpath(sys.base_prefix)


def library():
    """The folder of the standard library."""
    return os.path.dirname(os.path.realpath(os.__file__))


def site_folders():
    """The tree's own folders of packages on the search path."""
    return [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")
            and os.path.isdir(path) and inside(path)]


def tree_library():
    return os.path.join(root(), "lib")


def libraries():
    return os.listdir(tree_library()) if os.path.isdir(tree_library()) else []


def ended(code):
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def child(*arguments, **options):
    import subprocess
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, **options)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1200:]
        shown = " ".join(str(word) for word in arguments)[:160].replace("\n", "; ")
        raise AssertionError(f"`{shown}`: {ended(done.returncode)}: {said}")
    return done.stdout


def python(code, *arguments, **options):
    return child(sys.executable, "-X", "pycache_prefix=" + CACHE, *arguments, "-c", code, **options)


def in_fork(work):
    """Does `work` in a child of this very process; what it returns must be text."""
    reads, writes = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reads)
        code = 1
        try:
            import signal
            signal.alarm(120)
            null = os.open(os.devnull, os.O_WRONLY) if os.path.exists(os.devnull) else writes
            os.dup2(null, 1)
            os.dup2(null, 2)
            try:
                text, code = work(), 0
            except BaseException as error:
                text = f"{type(error).__name__}: {error}"
            with os.fdopen(writes, "w", errors="replace") as file:
                file.write(text)
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads, errors="replace") as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    if code:
        raise AssertionError(text or ended(code))
    return text


def first_in_path(folder):
    """A PATH that finds what is in `folder`, and then what the host has."""
    return os.pathsep.join([folder, *filter(None, [os.environ.get("PATH")])])


def host_program(*paths):
    found = next((path for path in paths if os.access(path, os.X_OK)), None)
    need(found, "no " + paths[0])
    return found


def foreign_code(maps):
    """The files of code in a listing of `/proc/PID/maps` that are not of this tree."""
    bad = set()
    for line in maps.splitlines():
        words = line.split(maxsplit=5)
        if len(words) < 6 or not words[5].startswith("/"):
            continue
        path = words[5]
        is_code = "x" in words[1] or ".so" in os.path.basename(path)
        if is_code and not path.startswith(root() + "/") and not is_lent(path):
            bad.add(path)
    return sorted(bad)


def is_lent(path):
    """Whether this tree may have the host's library at `path`: it says that it may, and has none of that name."""
    def stem(name):
        return name.split(".so")[0]
    return HOST_CODE and ".so" in path and stem(os.path.basename(path)) not in map(stem, libraries())


def few(items, count=8):
    items = [str(item) for item in items]
    more = len(items) - count
    return ", ".join(items[:count]) + (f" and {more} more" if more > 0 else "")
