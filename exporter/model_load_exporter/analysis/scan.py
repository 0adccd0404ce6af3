"""The lines of logs that fit at least one row of a table: where, what they say, and what follows them.

    sources ─> blocks of whole lines ─> an engine finds the literals that rows demand ─> fits() judges those lines

A line ends at a newline. Within it a carriage return or a NUL begins a new text of the same number: a progress bar
writes thousands of updates into one line, and a file that was cut in use begins with NULs.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from model_load_exporter.analysis import sources as opening
from model_load_exporter.analysis.blocks import blocks
from model_load_exporter.analysis.engines import EngineError
from model_load_exporter.analysis.following import FOLLOWING, Following
from model_load_exporter.analysis.literals import Row
from model_load_exporter.analysis.matcher import Matcher
from model_load_exporter.analysis.page import TEXT, Line, Page
from model_load_exporter.analysis.sources import Source, SourceError

__all__ = ["FOLLOWING", "TEXT", "EngineError", "Line", "Progress", "Row", "SourceError", "scan"]

Progress = Callable[[int, int | None], None]
"""(bytes read of all sources as they lie on disk, their size or None where one tells none)."""

_Waiting = deque[tuple[Line, Following]]

_EXPORT = b"__CURSOR="
"""How `journalctl -o export` begins."""


def scan(
    sources: Sequence[str],
    table: Sequence[Row],
    *,
    engine: str | None = None,
    progress: Progress | None = None,
    problem: Callable[[SourceError], None] | None = None,
) -> Iterator[Line]:
    """The lines that fit at least one row, in the order of the sources; "-" is standard input.

    engine: one of engines.NAMES; by default the fastest that is installed. The answer is the same with each. progress:
    called after each block. problem: called with each source that cannot be read, or not to its end; the others are
    read all the same. Without it the first problem is raised at the end. Raises EngineError, and ValueError for a row
    that names no text to look for.
    """
    return _scan(list(sources), Matcher(table, engine), progress, problem)


def _scan(
    names: Sequence[str],
    matcher: Matcher,
    progress: Progress | None,
    problem: Callable[[SourceError], None] | None,
) -> Iterator[Line]:
    sizes = [opening.size(name) for name in names]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    before = 0
    failure: SourceError | None = None
    for name, size in zip(names, sizes, strict=True):
        try:
            with opening.opened(name) as source:
                for part in _parts(source, matcher):
                    yield from part
                    if progress is not None:
                        progress(before + source.position, total)
                before += source.position
        except SourceError as error:
            before += size or 0
            failure = failure or error
            if problem is not None:
                problem(error)
    if failure is not None and problem is None:
        raise failure


def _parts(source: Source, matcher: Matcher) -> Iterator[Iterator[Line]]:
    """For each block of the source the lines that are complete with it."""
    waiting: _Waiting = deque()
    number = 1
    entry_time: str | None = None
    above: tuple[bytes, ...] = ()
    failure: SourceError | None = None
    try:
        for block in blocks(source):
            if number == 1 and block.opens and block.data.startswith(_EXPORT):
                entry_time = ""
            page = Page(source.name, block, number, entry_time, above)
            yield _complete(page, matcher, waiting)
            number, entry_time, above = page.next_number(), page.last_entry_time(), page.last_lines()
    except SourceError as error:
        failure = error
    yield (line for line, _ in waiting)
    if failure is not None:
        raise failure


def _complete(page: Page, matcher: Matcher, waiting: _Waiting) -> Iterator[Line]:
    """Lines whose following ones are there; the others wait for the next block."""
    for _, following in waiting:
        page.grow(following)
    while waiting and waiting[0][1].enough:
        yield waiting.popleft()[0]
    for line, following in page.found(matcher):
        if waiting or not following.enough:
            waiting.append((line, following))
        else:
            yield line
