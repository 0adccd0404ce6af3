"""What a faulthandler dump says: the kind of the fault, and the innermost Python frame of the thread that faulted."""

import re

from model_load_exporter.witness.evidence import Dump

_KINDS = {
    "Segmentation fault": "segfault",
    "Bus error": "bus_error",
    "Illegal instruction": "illegal_instruction",
    "Aborted": "aborted",
}
_FAULT = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
_FRAME = re.compile(r'^Current thread .*\n(?:  <no Python frame>|  File "(.*)", line (\S+) in (.*))', re.MULTILINE)


def parse(text: str) -> Dump | None:
    """The dump; None where there is none, or one of a fault that the reasons have no name for."""
    fault = _FAULT.search(text)
    kind = _KINDS.get(fault[1].strip()) if fault is not None else None
    if kind is None:
        return None
    frame = _FRAME.search(text)
    if frame is None or frame[1] is None:
        return Dump(kind, "code that is not Python")
    name = "".join(char for char in frame[3][:100] if char.isprintable())
    return Dump(kind, f"{name} ({frame[1][-200:]}:{frame[2][:10]})")
