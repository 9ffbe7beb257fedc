# Sources on standard input -> byte code on standard output; worker.rs describes the frames.
#
# marshal's bytes depend on what the process has imported, so nothing is imported here but modules
# that are part of the interpreter. Strings that stay interned from one file to the next make no
# difference; a test compiles in many orders, by each Python that recipes have, and holds us to it.
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
# Names in a source (\N{...}, identifiers beyond ASCII) take this module. Debian's Python has it built in;
# where it is a file, what importing it leaves behind is there from the first source on.
if "unicodedata" not in sys.builtin_module_names:
    try:
        import unicodedata
    except ImportError:
        pass
gc.disable()  # compiling leaves no cycles behind

KEY = int.from_bytes(MAGIC_NUMBER, "little")
HEADER = MAGIC_NUMBER + (1).to_bytes(4, "little")  # hash-based, unchecked (PEP 552)
GOOD, SKIPPED, HELLO = range(3)


def byte_code(path, source):
    try:
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
