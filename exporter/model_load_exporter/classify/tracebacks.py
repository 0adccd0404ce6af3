"""Printed tracebacks, read back into links.

A worker process's exception reaches its parent as text only (RemoteTraceback, torch.multiprocessing, ray), and a
child's standard error is all that is left of it.
"""

import builtins
from collections.abc import Sequence

from model_load_exporter.classify.chain import Link, bounded
from model_load_exporter.classify.patterns import compiled

HEADER = "Traceback (most recent call last"
_MESSAGE_LINES = 12

# `package.module.SomeError: message`, behind whatever a logger put before it. A name without a dot must end as
# exceptions' names do; warnings are none, and neither is a frame's source line (`raise EOFError`).
_FINAL = (
    r"(?:^|(?<!raise)(?<!except)\s|[\])>|:\uff1a`\"])"
    r"(?P<type>(?:[A-Za-z_]\w*\.)*_?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Timeout|Expired|Enabled|"
    r"NoSuchFile|InvalidProtobuf|InvalidGraph|Fail|BadZipFile|BadGzipFile|VersionConflict|DistributionNotFound)"
    r"|Exception(?!:?\s*$)|(?:[a-z_]\w*\.)+(?:exceptions|errors|errorfactory|core_\w*avx|\w*pybind11_state)"
    r"\.[A-Z]\w*(?=: )|StopIteration"
    r"|(?:[a-z_]\w*\.)*BrokenProcessPool)(?::\s+(?P<text>\S.*)|:?\s*$)"
)
_WORDS = (
    "exceptions.",
    "errors.",
    "core_",
    "pybind11_state.",
    "StopIteration",
    "BrokenProcessPool",
    "Error",
    "Exception",
    "Exit",
    "Interrupt",
    "Timeout",
    "Expired",
    "Enabled",
    "NoSuch",
    "Invalid",
    "Fail",
    "Bad",
    "Conflict",
    "NotFound",
)
_NODE = "Error occurred when executing "
_HANDLED = "During handling of"
_ENDS = ("Traceback (most", "During handling of", "The above exception", "  File ", "    at ")


def parse(text: str) -> tuple[tuple[int, Link], ...]:
    """Each exception that the text prints, in its order, with the number of its line (from 0)."""
    lines = text.splitlines()
    return tuple(
        (number, link)
        for number, line in enumerate(lines)
        if (link := parse_line(line, lines[number + 1 : number + 1 + _MESSAGE_LINES]))
    )


def parse_line(line: str, following: Sequence[str] = ()) -> Link | None:
    """The exception that one line prints, its message continued in the lines `following`; None where there is none."""
    if not any(word in line for word in _WORDS):
        return None
    if _NODE in line and (told := _of_a_node(line, following)) is not None:
        return told
    match = compiled(_FINAL).search(line)
    if match is None or line.startswith("  File "):
        return None
    name, message = match["type"], match["text"] or ""
    below = _continuation(following[:_MESSAGE_LINES])
    handled = len(below) < 2 and any(_HANDLED in entry for entry in following[:2])
    return _link(name, message, bounded("\n".join([message, *below]).strip()), "handled" if handled else "")


def _of_a_node(line: str, following: Sequence[str]) -> Link | None:
    """ComfyUI prints an exception without its type, above its traceback; a KeyError's message is a quoted name."""
    if not line.rstrip().endswith(":"):
        return None
    message = next((entry.strip() for entry in following[:_MESSAGE_LINES] if entry.strip()), "")
    name = "KeyError" if compiled(r"'[^']*'").fullmatch(message) else "Exception"
    return _link(name, message, f"{name}: {bounded(message)}", "") if message else None


def _continuation(lines: Sequence[str]) -> Sequence[str]:
    """The message's further lines: torch tells what is wrong in the sixth, below its advice."""
    for number, line in enumerate(lines):
        if any(mark in line for mark in _ENDS):
            return lines[:number]
    return lines


def _link(name: str, first: str, text: str, relation: str) -> Link:
    errno = compiled(r"\[Errno (\d{1,4})\]").search(first)
    filename = compiled(r"\[Errno \d{1,4}\][^']{0,200}: '([^']+)'").search(first)
    module = compiled(r"No module named '?([\w.]+)").search(first)
    builtin = getattr(builtins, name, None)
    if isinstance(builtin, type) and issubclass(builtin, BaseException):
        bases = tuple(f"builtins.{base.__name__}" for base in builtin.__mro__ if base is not object)
    else:
        bases = (name,)
    return Link(
        type=bases[0],
        bases=bases,
        text=text,
        errno=int(errno[1]) if errno else None,
        filename=filename[1] if filename else None,
        module=module[1] if module else None,
        relation=relation,
    )
