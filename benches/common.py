"""What several benchmarks here need: commands that are timed, a key that is believed, nginx."""
import os
import re
import socket
import subprocess
import sys
import time

NGINX = """daemon off; {user} pid {place}/nginx.pid; error_log {place}/nginx.log; worker_processes {workers};
events {{}}
http {{ sendfile on; {http} server {{ listen {listen}; {server} }} }}
"""


def timed(words, **more):
    """Seconds that a command took, and what it said; a command that fails ends everything."""
    words = [str(word) for word in words]
    began = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr}{done.stdout}")
    return time.perf_counter() - began, done.stdout


def make_key(recipe, env):
    """Makes a key in this home that signs and is believed."""
    timed([recipe, "key", "new", "bench"], env=env)
    shown = timed([recipe, "key", "show"], env=env)[1]
    timed([recipe, "key", "trust", re.search(r"^own *(.*)$", shown, re.M)[1]], env=env)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def nginx(place, server, listen, http="access_log off;", workers=1, inside=()):
    """Starts nginx, with its files in `place`; `inside` are words to start it with."""
    user = "user root;" if os.geteuid() == 0 else ""
    text = NGINX.format(user=user, place=place, workers=workers, http=http, listen=listen, server=server)
    (place / "nginx.conf").write_text(text)
    return subprocess.Popen([*inside, "nginx", "-c", place / "nginx.conf"], stderr=subprocess.DEVNULL)


def wait_for(port):
    """Waits until something listens there."""
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
