"""Hyperscan (Vectorscan): all literals at once, with the processor's vector instructions."""

from collections.abc import Iterable, Sequence

import hyperscan

from model_load_exporter.analysis.engines import Data, EngineError, Hit


class HyperscanEngine:
    """See Engine."""

    def __init__(self, literals: Sequence[bytes]) -> None:
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        try:
            self._database.compile(
                expressions=list(literals),
                ids=list(range(len(literals))),
                flags=hyperscan.HS_FLAG_CASELESS,
                literal=True,
            )
        except hyperscan.error as error:
            raise EngineError(f"hyperscan does not run here ({error}): use the engine re2 or std") from None

    def hits(self, data: Data, end: int) -> Sequence[Hit]:
        """See Engine."""
        found: list[Hit] = []
        block = memoryview(data)[:end]
        # A callback costs less than a second search of the block, and a block without a hit has none.
        self._database.scan(
            block,  # type: ignore[type-var]  # its types know bytes only; it takes any buffer, and this one is no copy
            lambda index, _start, end, _flags, _context: found.append((end - 1, index)),
        )
        return found

    def present(self, line: bytes) -> Iterable[int]:
        """See Engine."""
        found: set[int] = set()
        self._database.scan(line, lambda index, _start, _end, _flags, _context: found.add(index))
        return found
