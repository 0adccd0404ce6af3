"""The verdict over pickles, and the format `pickle`: estimators (scikit-learn, joblib) and training states.

Strict where weights are promised: whatever weights do not need is unsafe_pickle, since torch's default load refuses it
and nobody can tell what it does. Lenient for estimators and training states, which are made of classes: there only what
runs code by itself and functions that nothing is known of are faults, and the classes are a note.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from model_load_exporter.artifacts import compressed
from model_load_exporter.artifacts.bounded import Damaged, note, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.hashing import Advance
from model_load_exporter.artifacts.pickle_bytes import Read
from model_load_exporter.artifacts.pickle_calls import is_odd
from model_load_exporter.artifacts.pickle_globals import Global, is_harmless, is_needed, runs_code
from model_load_exporter.artifacts.pickle_scan import NEWEST, Scan, scan
from model_load_exporter.artifacts.summary import Summary

_TRAINING = ("training_args.", "optimizer.", "scheduler.", "scaler.", "rng_state", "random_states")
_MAX_PICKLES = 1000
_SHOWN = 3


def is_strict(path: Path) -> bool:
    """False for files beside the weights that no load of a model reads."""
    return not path.name.lower().startswith(_TRAINING)


def judge(scans: Iterable[Scan], *, strict: bool) -> str | None:
    """A note on what the pickles import, None where nothing is to say. Raises Damaged with the reason unsafe_pickle.

    Safety first: a pickle that breaks off has run what stands before.
    """
    found, called = dict[Global, None](), dict[Global, None]()
    broken, reason = None, "file_corrupted"
    for pickle in scans:
        found |= pickle.globals
        called |= pickle.called
        if pickle.protocol > NEWEST:
            reason = "version_incompatible"
        if pickle.computed:
            raise Damaged(f"holds a pickle that {pickle.computed[0]}: do not load it", "unsafe_pickle")
        broken = broken or pickle.broken
    if running := [name for name in found if runs_code(name) or _reaches_in(name)]:
        raise Damaged(
            f"holds a pickle that imports {_listed(running)}, which runs code: do not load it", "unsafe_pickle"
        )
    unknown = [name for name in found if not is_harmless(name)]
    if strict and unknown:
        raise Damaged(
            f"holds a pickle that imports {_listed(unknown)}, which weights do not need: "
            "torch.load(weights_only=True) refuses it, and another load may run its author's code",
            "unsafe_pickle",
        )
    if odd := [name for name in called if is_odd(name)]:
        raise Damaged(
            f"holds a pickle that calls {_listed(odd)}, which rebuilds no object as far as is known: "
            "look at it before you load it",
            "unsafe_pickle",
        )
    if broken:
        raise Damaged(f"cannot be read to its end: its pickle {broken}", reason)
    extra = [name for name in found if not is_needed(name)]
    return f"needs weights_only=False or a list of safe globals: {_listed(extra)}" if extra else None


def _reaches_in(name: Global) -> bool:
    """True for `torch`, `os.system`: protocol 4 follows dots, into whatever a module itself imported."""
    first, dot, _ = name.name.partition(".")
    return bool(dot) and not first[:1].isupper() and not is_needed(name)


def _listed(names: list[Global]) -> str:
    shown = ", ".join(note(str(name))[:80] for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def looks_like_pickle(head: bytes) -> bool:
    """True for the first bytes of a pickle of protocol 2 or later, which all writers of the last decades take.

    Of one of tomorrow too: its protocol is told, not that it is none.
    """
    return len(head) >= 2 and head[0] == 0x80 and head[1] < 0x80


def read(path: Path) -> Summary:
    """One or more pickles in a row, also compressed ones. Raises ArtifactError, OSError."""
    return summary_of(path, "pickle")


def summary_of(path: Path, name: str) -> Summary:
    """What a file of pickles says, under a format's name. Raises as read does."""
    with opened(path) as region:
        if region.at(0, min(8, region.size)).startswith(compressed.LZ4):
            metadata = {"note": "compressed with lz4: not looked into"}
        elif stream := compressed.stream_of(region, compressed.FIRST):
            metadata = imports(_unpacked(stream, whole=False))
        else:
            scans = list(in_a_row(region.at, region.size))
            judge(scans, strict=False)
            metadata = imports(scans)
        return Summary(name, region.size, region.size, metadata=metadata)


def deep(path: Path, advance: Advance) -> None:
    """A compressed file to its end, where its checksum is. Raises as read does."""
    with opened(path) as region:
        limit = max(compressed.MOST, compressed.EXPANSION * region.size)
        if stream := compressed.stream_of(region, limit, advance):
            _unpacked(stream, whole=True)


def _unpacked(stream: compressed.Unpacked, *, whole: bool) -> list[Scan]:
    """The pickles in a stream, judged. whole: read to its end, and refused where that is too far."""
    scans = list(in_a_row(stream.read, 2**62))
    if whole:
        stream.finish()
    if stream.cut:
        for found in scans:
            found.broken = None
    judge(scans, strict=False)
    if stream.cut and whole:
        raise Damaged("unpacks to far more than its size: a compression bomb")
    return scans


def imports(scans: Iterable[Scan]) -> dict[str, str]:
    """What the pickles import, as metadata."""
    names = list(dict.fromkeys(name for found in scans for name in found.globals))
    return {"note": f"imports {_listed(names)}"} if names else {}


def in_a_row(read: Read, size: int) -> Iterator[Scan]:
    """What a loader reads is the first; those that follow at once are looked at too. joblib's are read as it does."""
    begin = 0
    for _ in range(_MAX_PICKLES):
        found = scan(read, begin, size)
        if any(name.module.startswith("joblib.") for name in found.globals):
            plain, found = found, scan(read, begin, size, arrays=True)
            found.globals |= {name: None for name in plain.globals if runs_code(name)}
        yield found
        begin = found.end
        if found.broken or begin + 2 > size or not looks_like_pickle(read(begin, 2)):
            return


_PACKED = tuple(f"{name}{packed}" for name in (".pkl", ".pickle") for packed in (".gz", ".bz2", ".xz", ".z"))
FORMAT = Format("pickle", (".pkl", ".pickle", *_PACKED), read, deep=deep)
