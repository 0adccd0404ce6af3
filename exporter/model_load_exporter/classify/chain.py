"""An exception and all that led to it, as plain data that travels between processes.

The outermost exception is often the least telling: `We couldn't connect to ...` is raised for a refused connection,
a rate limit and a file that is simply not cached. The links below it say which. Types are kept as qualified names,
since the process that judges a chain need not have the libraries that raised it.
"""

from dataclasses import dataclass, field

TEXT_LIMIT = 2000
"""Characters of a message that are kept: some libraries put a whole state dict into theirs."""
_TEXT_TAIL = 800
_LINKS = 32
_OUTERMOST = 8
_DEPTH = 1000
_BASES = 16
_GAP = " [...] "
RELATIONS = ("", "handled", "hidden")
"""See Link.relation; from the one that tells most to the one that tells least."""


@dataclass(frozen=True, slots=True)
class Link:
    """One exception of a chain.

    type: its qualified class name (`builtins.FileNotFoundError`). bases: the qualified names of its classes from
    itself upwards, without object. text: its message, at most TEXT_LIMIT characters. errno, filename: as OSError
    has them. module: the name that an import did not find (ImportError.name). relation: how it led to the outermost
    exception, at the weakest step between them: as its cause (""), because that one was raised while this was
    `handled`, or `hidden` where that was done `from None`.
    """

    type: str
    bases: tuple[str, ...]
    text: str
    errno: int | None = None
    filename: str | None = None
    module: str | None = None
    relation: str = field(default="", compare=False)  # not all that report a chain know it


def describe(error: BaseException) -> tuple[Link, ...]:
    """The whole chain, outermost first: causes, contexts, and the members of groups.

    At most 32 links: of a longer chain the outermost few and the deepest; a cycle ends it. Never raises, whatever a
    foreign exception's attributes and __str__ do.
    """
    errors: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    waiting: list[tuple[BaseException, str]] = [(error, "")]
    while waiting and len(errors) < _DEPTH:
        current, relation = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        errors.append((current, relation))
        below = [(other, max(own, relation, key=RELATIONS.index)) for other, own in _below(current)]
        waiting.extend(reversed(below))
    if len(errors) > _LINKS:  # a download that was resumed a hundred times raises them all in one chain
        errors[_OUTERMOST : -(_LINKS - _OUTERMOST)] = []
    return tuple(_link(current, relation) for current, relation in errors)


def links_from_json(data: object) -> tuple[Link, ...]:
    """Links from another process's report: a list of objects with Link's keys. Anything else gives ()."""
    if not isinstance(data, list):
        return ()
    links = [_link_from_json(entry) for entry in data[:_LINKS]]
    return tuple(link for link in links if link is not None) if all(links) else ()


def _below(error: BaseException) -> list[tuple[BaseException, str]]:
    found: list[tuple[BaseException, str]] = []
    if isinstance(error, BaseExceptionGroup):
        found.extend((member, "") for member in error.exceptions[:_LINKS])
    if error.__cause__ is not None:
        found.append((error.__cause__, ""))
    elif error.__context__ is not None:
        found.append((error.__context__, "hidden" if error.__suppress_context__ else "handled"))
    return found


def _link(error: BaseException, relation: str) -> Link:
    bases = tuple(_qualified(base) for base in type(error).__mro__[:_BASES] if base is not object)
    errno = _attribute(error, "errno") if isinstance(error, OSError) else None
    filename = _attribute(error, "filename") if isinstance(error, OSError) else None
    module = _attribute(error, "name") if isinstance(error, ImportError) else None
    return Link(
        type=bases[0],
        bases=bases,
        text=_text(error),
        errno=errno if isinstance(errno, int) else None,
        filename=_path(filename),
        module=module if isinstance(module, str) else None,
        relation=relation,
    )


def _qualified(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except Exception:  # a property of a foreign class may do anything
        return None


def _text(error: BaseException) -> str:
    try:
        return bounded(str(error))
    except Exception:  # a foreign __str__ may do anything, and its exception's type still tells much
        return ""


def _path(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else None


def bounded(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text's head and tail in at most `limit` characters: what was wrong stands at either end."""
    if len(text) <= limit:
        return text
    return text[: limit - _TEXT_TAIL - len(_GAP)] + _GAP + text[-_TEXT_TAIL:]


def _link_from_json(entry: object) -> Link | None:
    if not isinstance(entry, dict):
        return None
    kind, bases, text = entry.get("type"), entry.get("bases"), entry.get("text")
    errno, filename, module = entry.get("errno"), entry.get("filename"), entry.get("module")
    relation = entry.get("relation")
    if not (isinstance(kind, str) and isinstance(bases, list | tuple) and isinstance(text, str)):
        return None
    names = tuple(base for base in bases[:_BASES] if isinstance(base, str))
    return Link(
        type=kind,
        bases=names or (kind,),
        text=bounded(text),
        errno=errno if isinstance(errno, int) and not isinstance(errno, bool) else None,
        filename=filename if isinstance(filename, str) else None,
        module=module if isinstance(module, str) else None,
        relation=relation if isinstance(relation, str) and relation in RELATIONS else "",
    )
