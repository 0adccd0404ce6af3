"""Single values of the config file: text in, checked value out, or ValueError with what is wrong and what to do."""

import difflib
import fnmatch
import glob
import posixpath
import re
import warnings
from collections.abc import Iterable
from urllib.parse import urlsplit

from model_load_exporter.config.schema import LOADERS, RESERVED_NAMES, VERIFY_LEVELS
from model_load_exporter.identity import MAX_NAME, looks_like_file
from model_load_exporter.units import shown

TASKS = frozenset(
    """
    any-to-any audio-classification automatic-speech-recognition decision depth-estimation document-question-answering
    feature-extraction fill-mask image-classification image-feature-extraction image-segmentation image-text-to-text
    image-to-image image-to-text keypoint-matching mask-generation ner object-detection question-answering
    sentence-similarity sentiment-analysis summarization table-question-answering text-classification
    text-generation text-to-audio text-to-speech text2text-generation token-classification translation
    video-classification visual-question-answering vqa zero-shot-audio-classification zero-shot-classification
    zero-shot-image-classification zero-shot-object-detection
    """.split()  # noqa: SIM905 (a list literal would be 36 lines of one word)
)
"""The pipeline tasks of transformers 4.40 to 5.23, those that 5 dropped included, and `sentence-similarity`.

`translation_en_to_fr` and its like are tasks too.
"""

_TRANSLATION = re.compile(r"translation_[A-Za-z_-]{2,20}_to_[A-Za-z_-]{2,20}")
_PYTHON_LOADER = re.compile(r"python:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|.+\.py):([A-Za-z_]\w*)", re.ASCII)
_REPO = re.compile(r"(?:[A-Za-z0-9_][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)


class PathPattern(str):
    """A glob in place of a path."""

    __slots__ = ()


def name(text: str) -> str:
    """A model's or service's name: it becomes a label value."""
    _refuse_invisible(text)
    if not text or text != text.strip():
        raise ValueError(f"{shown(text)} is empty or has blanks around it; write the bare name")
    if len(text) > MAX_NAME:
        raise ValueError(f"{shown(text)} has {len(text)} characters; write at most {MAX_NAME}")
    return text


def model_name(text: str) -> str:
    """A model's name; not one that the label `model` uses itself."""
    if text in RESERVED_NAMES:
        raise ValueError(f"{shown(text)} is reserved: {RESERVED_NAMES[text]}; choose another name")
    return name(text)


def loader(text: str, folder: str) -> str:
    """One of LOADERS, or `python:module:callable`, whose module may be the path of its file."""
    if text in LOADERS:
        return text
    if match := _PYTHON_LOADER.fullmatch(text):
        module, function = match.groups()
        return f"python:{path(module, folder)}:{function}" if module.endswith(".py") else text
    if text.startswith("python:"):
        raise ValueError(f'{shown(text)} names no callable; write "python:module:callable"')
    raise ValueError(f"{shown(text)} is no loader; {_nearest(text, LOADERS, 'known: ' + ', '.join(LOADERS))}")


def task(text: str) -> str:
    """A pipeline task of transformers."""
    if text in TASKS or _TRANSLATION.fullmatch(text):
        return text
    raise ValueError(f"{shown(text)} is no task; {_nearest(text, TASKS, 'docs/CONFIGURE.md lists them')}")


def is_path(text: str) -> bool:
    """Whether a model's `path` is one of the file system; else it is a repo id of the hub."""
    return text in (".", "..") or text.startswith(("/", "./", "../", "~"))


def path(text: str, folder: str) -> str:
    """An absolute path, without `.` and `..`; a relative one is of the config file's folder."""
    _refuse_invisible(text)
    if not is_path(text):
        raise ValueError(f"{shown(text)} does not say where; write the full path, or ./{text} for one beside this file")
    return _absolute(text, folder)


def path_or_repo(text: str, folder: str) -> str:
    """An absolute path, or a repo id of the local hub cache."""
    if is_path(text):
        return path(text, folder)
    if "/" not in text and looks_like_file(text):
        raise ValueError(f"{shown(text)} looks like a file but would be a repo id; write the full path, or ./{text}")
    if not _REPO.fullmatch(text) or re.search(r"--|\.\.|[.-](?:/|\Z)|\.git\Z", text):
        raise ValueError(f"{shown(text)} is neither a path nor a repo id; write /folder, ./folder or org/name")
    return text


def model_path(text: str, folder: str) -> str:
    """The same, or a PathPattern for a glob such as `/models/*`."""
    if not (is_path(text) and glob.has_magic(text)):
        return path_or_repo(text, folder)
    _refuse_invisible(text)
    if "**" in text:
        raise ValueError(f"{shown(text)} has **, which is not understood; write one * for each folder level")
    if re.search(r"\[(?!!?\]?[^\]/]*\])", text):
        raise ValueError(f"{shown(text)} has a [ without its ]; close it, or write [[] for the character itself")
    return PathPattern(_absolute_pattern(text, folder))


def level(text: str) -> str:
    """How deep to look into files."""
    if text not in VERIFY_LEVELS:
        raise ValueError(f"{shown(text)} is no level; write {' or '.join(VERIFY_LEVELS)}")
    return text


def manifest(text: str, folder: str) -> str:
    """A path, or a bare name such as `manifest.sha256`: that file in the model's own folder."""
    _refuse_invisible(text)
    if not text:
        raise ValueError("is empty; name the file of checksums")
    if "/" in text and not is_path(text):
        raise ValueError(f"{shown(text)} does not say where; write the full path, ./{text}, or a bare file name")
    return _absolute(text, folder) if is_path(text) else text


def pattern(text: str, folder: str) -> str:
    """An fnmatch pattern; one that begins like a path is made absolute, as `path` is."""
    _refuse_invisible(text)
    if not text:
        raise ValueError('is empty and matches nothing; write a pattern such as "org/name-*"')
    if "{" in text or "}" in text:
        raise ValueError(f"{shown(text)} has braces, which are not understood; write one pattern for each case")
    if re.search(r"\[(?!!?\]?[^\]]*\])", text):
        raise ValueError(f"{shown(text)} has a [ without its ]; close it, or write [[] for the character itself")
    if "(?!)" in fnmatch.translate(text):
        raise ValueError(f"{shown(text)} has a range that runs backwards; write [a-z], not [z-a]")
    return _absolute_pattern(text, folder)


def regex(text: str) -> str:
    """A regular expression of Python's re."""
    comparable(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # FutureWarning on `[[a]`: it means what it always meant
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{shown(text)} is no regular expression: {error}; correct it") from None
    return text


def comparable(text: str) -> str:
    """Text that an output can be compared with."""
    if not text:
        raise ValueError("is empty, which every output meets or none; write what the output must be")
    return text


def model_input(text: str) -> str:
    """What the canary gives the model."""
    if not text:
        raise ValueError("is empty; write what to give the model, or remove the key")
    return text


def url(text: str) -> str:
    """An http or https address. Messages never repeat it: it may hold a password."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is no http or https address; write http://host:port/path")
    return text


def count(text: str, least: int, most: int) -> int:
    """A whole number."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text) or not least <= int(text) <= most:
        raise ValueError(f"{shown(text)} is no whole number from {least} to {most}; write one")
    return int(text)


def _absolute(text: str, folder: str) -> str:
    full = posixpath.expanduser(text)
    if full.startswith("~"):
        raise ValueError(f"{shown(text)} names a user without a home folder; write the full path")
    # normpath keeps a leading `//`, which Linux reads as `/`.
    return re.sub(r"\A//+", "/", posixpath.normpath(posixpath.join(folder, full)))


def _absolute_pattern(text: str, folder: str) -> str:
    """A pattern that begins like a path, made absolute; brackets in the folder's own name stay characters."""
    if not text.startswith(("./", "../", "~")):
        return text
    start, _, rest = text.partition("/")
    return posixpath.normpath(posixpath.join(glob.escape(_absolute(start, folder)), rest))


def _refuse_invisible(text: str) -> None:
    if not text.isprintable():
        raise ValueError(f"{shown(text)} holds a control or invisible character; remove it")


def _nearest(text: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(text[:60].lower(), sorted(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else otherwise
