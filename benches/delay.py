#!/usr/bin/env python3
"""A proxy that gives on each byte 10 ms later, in both directions.

    benches/delay.py HOST PORT TARGET      from one port of HOST to another one

Bytes are spliced from socket to socket by way of pipes, so that the proxy takes next to nothing of the processors that
it shares with what is measured.
"""
import fcntl
import os
import queue
import socket
import sys
import threading
import time

DELAY = 0.01
# Bytes that a pipe holds, and how many pipes: more than comes in 10 ms.
PIPE = 1 << 20
PIPES = 16


def new_pipe():
    pipe = os.pipe()
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, PIPE)
    return pipe


def pump(source, sink):
    free, late, pipes = queue.SimpleQueue(), queue.SimpleQueue(), []

    def give_on():
        try:
            while (item := late.get()) is not None:
                at, pipe, count = item
                time.sleep(max(0, at - time.monotonic()))
                while count:
                    count -= os.splice(pipe[0], sink.fileno(), count)
                free.put(pipe)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            free.put(None)
            source.shutdown(socket.SHUT_RDWR)

    writer = threading.Thread(target=give_on)
    writer.start()
    try:
        while True:
            if free.empty() and len(pipes) < PIPES:
                pipes.append(new_pipe())
                free.put(pipes[-1])
            pipe = free.get()
            count = os.splice(source.fileno(), pipe[1], PIPE) if pipe else 0
            if not count:
                break
            late.put((time.monotonic() + DELAY, pipe, count))
    except OSError:
        pass
    late.put(None)
    writer.join()
    for end in sum(pipes, ()):
        os.close(end)


def give_on_both(here, target):
    with here, socket.create_connection(target) as there:
        for side in here, there:
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=pump, args=(there, here))
        back.start()
        pump(here, there)
        back.join()


def main():
    host, port, target = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    server = socket.create_server((host, port))
    while True:
        here, _ = server.accept()
        # A target that does not answer ends this connection, not the proxy.
        threading.Thread(target=give_on_both, args=(here, (host, target)), daemon=True).start()


main()
