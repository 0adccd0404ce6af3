"""The process that looks: asks on its standard input, answers on its output, a line of JSON each.

Each look has a thread of its own, so that one that hangs holds up no other. It ends with its input.
"""

import errno
import json
import os
import resource
import sys
import threading

from model_load_exporter.looks.answers import LOOKS

_STACK = 512 * 1024
"""Bytes a thread: those that hang stay."""

_MEMORY = 2**30
"""Bytes of its own: a header that makes a parser want more costs that look a MemoryError."""


def main() -> None:
    """Until the asker is gone."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard), hard))
    threading.stack_size(_STACK)
    turn = threading.Lock()
    for line in sys.stdin.buffer:
        number, what, arguments = json.loads(line)
        threading.Thread(target=_answer, args=(turn, number, what, arguments), daemon=True).start()
    os._exit(0)  # without waiting for the threads that hang


def _answer(turn: threading.Lock, number: int, what: str, arguments: list[str]) -> None:
    try:
        told: dict[str, object] = {"value": LOOKS[what](*arguments)}
    except OSError as error:
        told = {"errno": error.errno or errno.EIO, "text": error.strerror or str(error)}
    except Exception as error:  # a parser's, of a file that is as it likes
        told = {"errno": errno.EIO, "text": f"{type(error).__name__}: {error}"}
    data = json.dumps([number, told]).encode() + b"\n"
    with turn:
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
