"""What writers and readers of the journal share: names, limits and the form of one line."""

from __future__ import annotations

import functools

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    import json
    from typing import Any

VERSION = 1
MAX_LINE = 4096
"""Bytes of one line, its newline included: one write of this size to a local file is not torn by another writer."""

MAX_FILE = 2**20
"""Bytes read of one file: a load writes some kilobytes; what a runaway writer adds beyond is not read."""

SUFFIX = ".jsonl"
READER_LOCK = "reader.lock"
SETTINGS = "spool.json"


def encode(event: dict[str, Any]) -> bytes:
    """One event to its line, newline included; its longest texts and lists are cut until it fits in MAX_LINE bytes.

    Raises ValueError where even that does not help.
    """
    text = _encoder().encode
    line = text(event).encode() + b"\n"
    limit = 2048
    while len(line) > MAX_LINE:
        if limit < 16:
            raise ValueError("an event does not fit in a line")
        event = {key: value[:limit] if isinstance(value, (str, list)) else value for key, value in event.items()}
        line = text(event).encode() + b"\n"
        limit //= 2
    return line


@functools.cache
def _encoder() -> json.JSONEncoder:
    import json  # here: a service that never loads does not pay for it

    # Made once: json.dumps makes one for each call that sets the separators.
    return json.JSONEncoder(separators=(",", ":"), default=str)
