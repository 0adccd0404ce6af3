"""Vocabularies that are no JSON: sentencepiece models, tiktoken tables, lists of words.

A sentencepiece model is a protobuf message without a checksum; its fields must fill the file exactly, which a cut file
does not do.
"""

import base64
import binascii
from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.summary import Summary

MAX_BYTES = 64 * 2**20
MAX_PIECES = 4_000_000

_PIECE = 1
_VARINT, _FIXED64, _MESSAGE, _FIXED32 = 0, 1, 2, 5
_TEXTS = ("vocab.txt", "merges.txt", "vocab.bpe", "dict.txt", "bpe.codes")
_NAMES = ("tokenizer.model", "spiece.model", "sentencepiece.model", "sentencepiece.bpe.model", "source.spm",
          "target.spm", "spm.model", "tokenizer.model.v3")  # fmt: skip


def read(path: Path) -> Summary:
    """A sentencepiece model or tiktoken table. Raises ArtifactError, OSError."""
    with opened(path) as region:
        if region.size > MAX_BYTES:
            raise Damaged(f"has {region.size} bytes; {MAX_BYTES} is the limit for a vocabulary")
        raw = region.at(0, region.size)
        if _is_tiktoken(raw):
            return Summary("tiktoken", region.size, 0)
        return Summary("sentencepiece", region.size, 0, metadata={"note": f"{_pieces(raw)} pieces"})


def read_text(path: Path) -> Summary:
    """A list of words or merges, one a line. Raises ArtifactError, OSError."""
    with opened(path) as region:
        if b"\0" in region.at(0, min(region.size, 4096)):
            raise Damaged("is no text", "config_invalid")
        return Summary("vocabulary", region.size, 0)


def _is_tiktoken(raw: bytes) -> bool:
    """By its first line: a token in base64, a space and its number."""
    token, space, number = raw[:1024].partition(b"\n")[0].partition(b" ")
    try:
        return bool(space) and number.strip().isdigit() and bool(base64.b64decode(token, validate=True))
    except binascii.Error:
        return False


def _pieces(raw: bytes) -> int:
    """How many pieces the model has. Raises Damaged where its fields do not fill it, or are none of a model's."""
    at, pieces, end = 0, 0, len(raw)
    for _ in range(MAX_PIECES):
        if at >= end:
            break
        tag, at = _varint(raw, at)
        field, kind = tag >> 3, tag & 7
        if kind == _MESSAGE:
            length, at = _varint(raw, at)
            at += length
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        elif kind == _VARINT:
            _, at = _varint(raw, at)
        else:
            raise Damaged("is no sentencepiece model")
        pieces += field == _PIECE and kind == _MESSAGE
    if at != end:
        raise Damaged("is truncated, or no sentencepiece model")
    if not pieces:
        raise Damaged("is no sentencepiece model: it has no pieces")
    return pieces


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise Damaged("is truncated, or no sentencepiece model")
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Damaged("is no sentencepiece model")


FORMAT = Format("sentencepiece", _NAMES, read)
TEXT_FORMAT = Format("vocabulary", _TEXTS, read_text)
