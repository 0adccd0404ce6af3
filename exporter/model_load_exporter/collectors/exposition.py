"""Exposition: what each collector says, as bytes that are rendered and compressed only when they change.

prometheus_client renders each family, so that escaping, number formats and both text formats are its own. Here is only
the keeping: a segment of bytes for each collector, plain and gzipped. gzip members may follow one another (RFC 1952),
so an answer is the segments joined, whichever of them were made anew.
"""

import gzip
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from prometheus_client import Metric
from prometheus_client.exposition import generate_latest as text_exposition
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_exposition

from model_load_exporter.collectors.base import Collector, Sliced, Versioned
from model_load_exporter.collectors.lines import Lines

EOF_LINE = b"# EOF\n"

_MOST_LINES = 5000
"""Lines kept of one collector; beyond, they are made anew, so that labels that are no more are not kept for ever."""

_GZIP_LEVEL = 1  # level 9 costs 13 times as much for a fifth less


@lru_cache(maxsize=1)
def gzip_eof() -> bytes:
    """The last line of OpenMetrics as a gzip member."""
    return gzip.compress(EOF_LINE, mtime=0)


class _One:
    """A registry of one family, as prometheus_client's exposition functions want it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


def render_family(metric: Metric, *, openmetrics: bool) -> tuple[bytes, bytes]:
    """(the # HELP and # TYPE lines, the sample lines) of one family."""
    registry = _One(metric)
    data: bytes = openmetrics_exposition(registry) if openmetrics else text_exposition(registry)  # type: ignore[no-untyped-call]  # prometheus_client has no types there
    data = data.removesuffix(EOF_LINE)
    cut = 0
    while data.startswith(b"#", cut):
        cut = data.index(b"\n", cut) + 1
    return data[:cut], data[cut:]


@dataclass(slots=True)
class _Slice:
    """One slice's sample lines by family name, and the version that they show."""

    version: Hashable
    families: dict[str, tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Can:
    """What a collector can do beyond `collect`: itself, or None."""

    versioned: Versioned | None
    sliced: Sliced | None


@dataclass(slots=True)
class Segment:
    """One collector's part of the answer, in one format, plain and (when asked for) compressed."""

    version: Hashable = None
    plain: bytes = b""
    _gzipped: bytes | None = None
    _slices: dict[Hashable, _Slice] = field(default_factory=dict)
    _lines: Lines | None = None
    _can: _Can | None = None

    def gzipped(self) -> bytes:
        """The same, compressed once."""
        if self._gzipped is None:
            self._gzipped = gzip.compress(self.plain, _GZIP_LEVEL, mtime=0) if self.plain else b""
        return self._gzipped

    def update(self, collector: Collector, *, openmetrics: bool) -> None:
        """Renders what changed since the last time. Raises what the collector raises; the old bytes stay then."""
        if self._can is None:
            # Asked once: isinstance of a protocol looks at every method each time.
            self._can = _Can(
                collector if isinstance(collector, Versioned) else None,
                collector if isinstance(collector, Sliced) else None,
            )
        version = self._can.versioned.version() if self._can.versioned is not None else None
        if version is not None and version == self.version:
            return
        if self._can.sliced is not None:
            self._update_slices(self._can.sliced, version, openmetrics=openmetrics)
            return
        if self._lines is None or len(self._lines) > _MOST_LINES:
            self._lines = Lines(partial(render_family, openmetrics=openmetrics))
        self._take(b"".join([self._lines.family(metric) for metric in collector.collect()]), version)

    def clear(self) -> None:
        """Drops the bytes: of a failed collector nothing is served, never the last good."""
        self._take(b"", None)

    def _update_slices(self, collector: Sliced, version: Hashable, *, openmetrics: bool) -> None:
        names = list(collector.slices())
        changed = [name for name, _ in names] != list(self._slices)
        slices: dict[Hashable, _Slice] = {}
        for name, version in names:
            kept = self._slices.get(name)
            if kept is None or kept.version != version:
                changed = True
                rendered = {m.name: render_family(m, openmetrics=openmetrics) for m in collector.collect_slice(name)}
                kept = _Slice(version, rendered)
            slices[name] = kept
        if not changed:
            self.version = version
            return
        families: dict[str, list[bytes]] = {}
        for kept in slices.values():
            for family, (head, samples) in kept.families.items():
                lines = families.setdefault(family, [head])
                lines.append(samples)
        # A family without a sample would be two lines that say nothing.
        parts = [b"".join(lines) for lines in families.values() if any(lines[1:])]
        self._slices = slices
        self._take(b"".join(parts), version)

    def _take(self, plain: bytes, version: Hashable) -> None:
        self.version = version
        if plain != self.plain:
            self.plain, self._gzipped = plain, None
