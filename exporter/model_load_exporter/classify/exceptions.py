"""An exception, or the chain that another process reported, to one reason.

The links are judged by what they say and by how far that can be believed; where files could be to blame, the files
are looked at, and what is seen there outweighs the text.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model_load_exporter.classify import tracebacks
from model_load_exporter.classify.chain import Link, describe
from model_load_exporter.classify.files import FileFinding, look
from model_load_exporter.classify.judge import Judgement, decide
from model_load_exporter.classify.known import CANCELLATIONS
from model_load_exporter.classify.patterns import EXACT, LAST, PLAIN, VAGUE, compiled

MESSAGE_LIMIT = 500
_PATHS = 4
_QUOTED = r"""['"`](/[^'"`\n]{1,512})['"`]|(?:directory|path|file): (/\S{1,512})"""

_CONTENT = frozenset(("file_empty", "file_corrupted", "lfs_pointer"))
_DOUBTED = {
    "file_missing": EXACT, "shard_missing": EXACT, "file_empty": EXACT, "file_corrupted": EXACT,
    "lfs_pointer": EXACT,
    "config_invalid": PLAIN, "version_incompatible": VAGUE, "not_found_remote": VAGUE, "network_error": VAGUE,
    "auth_denied": VAGUE, "process_died": LAST, "unsafe_pickle": VAGUE, "unknown": EXACT,
}  # fmt: skip
"""Reasons that a look at the files may overrule, up to which rank. A GPU that ran out of memory is not doubted."""

_ITS_NAMES = ("weights_only", "Weights only", "WeightsUnpickler")
_ADVICE = (
    r"(?i)re-running|will likely succeed|trusted source|you trust|two options|recommended steps|add_safe_globals"
    r"|changed the default value|please file an issue|check the documentation"
)
"""What torch.load says around the one line that names what it refused, sentence by sentence."""


@dataclass(frozen=True, slots=True)
class Classification:
    """Why a load failed. reason: of the closed set. message: one line of at most 500 characters, what was said."""

    reason: str
    message: str


def classify(links: Sequence[Link], path: str | None = None) -> Classification:
    """The reason that a chain (outermost first, as describe() gives it) tells. Never raises.

    path: the model's file or folder, or its repository's name. It and the files that the links name are looked at
    with this process's rights, so a chain from another host is judged by its words alone where they are not here.
    """
    try:
        return _classify(tuple(link for link in links if isinstance(link, Link)), path)
    except Exception:  # a classifier that fails must not become the service's second failure
        return Classification("unknown", "")


def classify_exception(error: BaseException, path: str | None = None) -> Classification:
    """The reason for an exception of this process. Never raises."""
    return classify(describe(error), path)


def is_cancellation(error: BaseException) -> bool:
    """Whether the load was ended on purpose (Ctrl-C, a cancelled task, a closed generator): no failure."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_cancellation(member) for member in error.exceptions)
    return any(f"{base.__module__}.{base.__qualname__}" in CANCELLATIONS for base in type(error).__mro__)


def one_line(text: str, start: int = 0) -> str:
    """The text in one printable line of at most 500 characters; of a longer one the part around character `start`."""
    line = _printable(text)
    if len(line) <= MESSAGE_LIMIT:
        return line
    begin = min(max(len(_printable(text[:start])) - 100, 0), len(line) - MESSAGE_LIMIT)
    part = line[begin : begin + MESSAGE_LIMIT]
    if begin > 0:
        part = "... " + part[4:]
    if begin + MESSAGE_LIMIT < len(line):
        part = part[:-4] + " ..."
    return part


def without_advice(text: str) -> str:
    """The text without torch.load's advice to switch weights_only off; any other text as it is.

    Whoever reads why a load failed must not be told to run the code that was refused, and the culprit stands last.
    """
    if not any(name in text for name in _ITS_NAMES):
        return text
    sentences = compiled(r"(?<=[.:])\s+|\s*\n\s*").split(text)
    kept = [sentence for sentence in sentences if not compiled(_ADVICE).search(sentence)]
    return text if len(kept) == len(sentences) else " ".join(kept)


def _printable(text: str) -> str:
    """Without colours, and with a space for whatever a terminal or a JSON line cannot show."""
    plain = compiled(r"\x1b\[[0-9;]*m").sub("", text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())


def _classify(links: tuple[Link, ...], path: str | None) -> Classification:
    if not links:
        return Classification("unknown", "")
    path = os.fspath(path) if path is not None else None
    chain = tuple(_expanded(links))
    judged = decide(chain) or Judgement("unknown", LAST, links[0])
    finding = _second_look(judged, chain, path) if judged.rank <= _DOUBTED.get(judged.reason, -1) else None
    text = _told(judged)
    if finding is None or (finding.reason == judged.reason and finding.reason not in _CONTENT):
        return Classification(judged.reason, text)
    return Classification(finding.reason, one_line(f"{finding.path}: {finding.detail} (told as: {text})"))


def _told(judged: Judgement) -> str:
    text = without_advice(judged.link.text)
    start = judged.start if text == judged.link.text else len(without_advice(judged.link.text[: judged.start]))
    text = one_line(text, start)
    return text or judged.link.type.removeprefix("builtins.")


def _expanded(links: tuple[Link, ...]) -> Iterator[Link]:
    """The links, and below each that quotes another process's traceback the exceptions printed there."""
    for link in links:
        yield link
        if tracebacks.HEADER in link.text:
            # Printed causes come first, so the deepest is the first line.
            yield from reversed([printed for _, printed in tracebacks.parse(link.text)])


def _second_look(judged: Judgement, chain: tuple[Link, ...], path: str | None) -> FileFinding | None:
    for candidate in _paths(judged, chain, path):
        finding = look(candidate)
        if finding is None or (judged.reason in _CONTENT and finding.reason not in _CONTENT):
            continue  # what was read and found damaged was neither missing nor unreadable
        gone = finding.reason in ("file_missing", "shard_missing") and finding.path == candidate
        if gone and judged.reason == "config_invalid" and judged.rank > VAGUE:
            continue
        return finding
    return None


def _paths(judged: Judgement, chain: tuple[Link, ...], path: str | None) -> list[str]:
    named = [link.filename for link in (judged.link, *chain) if link.filename]
    quoted = compiled(_QUOTED).findall(judged.link.text)
    named.extend(one or other for one, other in quoted)
    if path and (path.startswith(("/", "./", "../")) or path.count("/") > 1 or os.path.lexists(path)):
        named.append(path)
    return [name for name in dict.fromkeys(named) if not name.endswith((".py", ".so"))][:_PATHS]
