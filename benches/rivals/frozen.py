"""What PyInstaller freezes: does for a few flags what an interpreter does, so that it can be asked."""

import multiprocessing
import runpy
import sys


def main():
    words = sys.argv[1:]
    while words and words[0].startswith("-") and words[0] not in ("-c", "-m"):
        words = words[2 if words[0] in ("-X", "-W") else 1:]
    if not words:
        sys.exit("a file to run is wanted")
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    elif words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
