# Sources on standard input -> byte code on standard output; worker.rs describes the frames.
#
# marshal's bytes depend on what the process has imported, so nothing is imported here but modules
# that are part of the interpreter. Strings that stay interned from one file to the next make no
# difference but where `repeated` says so; tests compile in many orders, by each Python that recipes have,
# and hold us to it, as does `recipe check --rebuild`.
import gc
import marshal
import sys
import _imp
import _warnings
from _frozen_importlib_external import MAGIC_NUMBER

# Sources that warn (invalid escapes) compile all the same; showing a warning imports modules.
_warnings.filters.insert(0, ("ignore", None, Warning, None, 0))
if hasattr(_warnings, "_filters_mutated"):
    _warnings._filters_mutated()
else:  # since 3.14
    _warnings._acquire_lock()
    _warnings._filters_mutated_lock_held()
    _warnings._release_lock()
# What the compiler makes when it first wants it would be there from then on, and is from the first
# source on: the names in the module that knows \N{...} and identifiers beyond ASCII, be it built in or a
# file, and the braces of annotations that are kept as text. Until 3.12 marshal writes a string that
# somebody else holds, or has interned, with other bits.
try:
    import unicodedata
except ImportError:
    pass
FIRST = 'from __future__ import annotations\n\u00f8: f"{{{a!r:>{b}}}}" = "\\N{BULLET}", 1e999\n'
compile(FIRST, "", "exec", dont_inherit=True)
gc.disable()  # compiling leaves no cycles behind

KEY = int.from_bytes(MAGIC_NUMBER, "little")
HEADER = MAGIC_NUMBER + (1).to_bytes(4, "little")  # hash-based, unchecked (PEP 552)
GOOD, SKIPPED, HELLO = range(3)


def sets(code):
    for constant in code.co_consts:
        if isinstance(constant, frozenset):
            yield constant
        elif isinstance(constant, type(code)):
            yield from sets(constant)


# Where several functions have the same set, they share it, unless one of its strings was interned before:
# then each gets a copy. Once compiled, all of them are interned, so a second time each gets one for sure.
# Older marshals write a set in its own order, in which a copy need not have its members.
def repeated(code):
    found = list(sets(code))
    return found and (sys.version_info < (3, 11) or len(set(found)) < len(found))


def byte_code(path, source):
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        if repeated(code):
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        return GOOD, HEADER + _imp.source_hash(KEY, source) + marshal.dumps(code)
    except Exception as error:  # what compileall passes over: Python 2, test data
        return SKIPPED, f"{type(error).__name__}: {error}".encode("utf-8", "replace")


def main(source, sink):
    def answer(status, result):
        sink.write(bytes((status,)) + len(result).to_bytes(4, "little") + result)
        sink.flush()

    answer(HELLO, sys.implementation.cache_tag.encode())
    while head := source.read(8):
        path = source.read(int.from_bytes(head[:4], "little")).decode()
        answer(*byte_code(path, source.read(int.from_bytes(head[4:], "little"))))


main(sys.stdin.buffer, sys.stdout.buffer)
