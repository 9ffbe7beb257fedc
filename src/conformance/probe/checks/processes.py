"""Processes, threads and signals."""

import os
import sys

from .ground import check, ended, need, python


def in_child(connection):
    connection.send((sys.base_prefix, sys.executable))


def processes(method):
    import multiprocessing
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=in_child, args=(theirs,))
    process.start()
    theirs.close()
    assert ours.poll(60), "no answer"
    try:
        answer = ours.recv()
    except EOFError:
        process.join(10)
        raise AssertionError(f"the new process ended with {ended(process.exitcode)}") from None
    assert answer == (sys.base_prefix, sys.executable), answer
    process.join(60)
    assert process.exitcode == 0, ended(process.exitcode)


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
def pools():
    need(os.path.isdir("/dev/shm"), "no /dev/shm")
    import concurrent.futures
    import multiprocessing
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(abs, -1).result(60) == 1


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
    said = (ended(done.returncode), done.stderr[-300:])
    assert done.returncode == -11 and "Fatal Python error" in done.stderr, said
