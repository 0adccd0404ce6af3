"""Files called .bin that torch did not write: what other programs name so, by what they begin with.

`.bin` promises nothing; a file that fits none of these is taken for the damaged checkpoint that its name suggests.
"""

import re
from pathlib import Path

from model_load_exporter.artifacts.bounded import Region

_MAGICS = (
    (b"GGUF", "gguf"),
    (b"ggml", "ggml"), (b"lmgg", "ggml"), (b"fmgg", "ggml"), (b"tjgg", "ggml"),
    ((793712314).to_bytes(4, "little"), "fasttext"),
)  # fmt: skip
_WORD2VEC = re.compile(rb"\d{1,12} \d{1,6}\n")
_CTRANSLATE2 = re.compile(rb"[\x01-\x20]\0\0\0(.)\0([A-Z][A-Za-z0-9]+Spec)\0", re.DOTALL)


def format_of(path: Path, region: Region, head: bytes) -> str | None:
    """The format's name, None where the first bytes tell none. `path` is asked for a neighbour only."""
    for magic, name in _MAGICS:
        if head.startswith(magic):
            return name
    if (match := _CTRANSLATE2.match(head)) and match[1][0] == len(match[2]) + 1:
        return "ctranslate2"
    if _WORD2VEC.match(head) and region.size > len(head):
        return "word2vec"
    # OpenVINO: the graph is the .xml, the .bin beside it raw weights.
    return "openvino" if path.with_suffix(".xml").is_file() else None
