"""One mapping of the file, read key by key. Its keys are the fields of a dataclass, so code and file cannot differ.

A mistaken value is noted and answered with None, so that the walk goes on and finds the next one. Why not cattrs: it
reports all mistakes too, but by path only, without lines; it builds nothing of a model that has one mistake, so the
checks between keys and sections are lost; and it costs the daemon 6 MiB.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TypeVar

import yaml

from model_load_exporter.config.report import Report, below

T = TypeVar("T")
Reading = Callable[[yaml.Node, str], str | None]


class Section:
    """A mapping at `key` whose keys are the fields of `shape`; unknown ones are noted at once."""

    def __init__(self, report: Report, node: yaml.Node, key: str, shape: type) -> None:
        self.report, self.key = report, key
        self.is_mapping = isinstance(node, yaml.MappingNode)
        self._node = node
        self._entries = report.entries(node, key)
        known = [field.name for field in fields(shape)]
        for name in [name for name in self._entries if name not in known]:
            name_node, _ = self._entries.pop(name)
            report.add(name_node, below(key, name), f"is no key here; {report.suggestion(name, known)}")

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def holds_mapping(self, name: str) -> bool:
        """Whether the key is set to a mapping, where a single value is possible too."""
        return name in self and isinstance(self._entries[name][1], yaml.MappingNode)

    def wrong(self, name: str, message: str) -> None:
        """Notes a mistake at a key; on the section's first line where the key is not set."""
        node = self._entries[name][0] if name in self._entries else self._node
        self.report.add(node, below(self.key, name), message)

    def text(self, name: str, parse: Callable[[str], T]) -> T | None:
        """A text through `parse`, whose ValueError is the message; None where absent or mistaken."""
        return self._value(name, parse, self.report.text)

    def number(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The same for numbers, durations and sizes, which may stand in quotes or not."""
        return self._value(name, parse, self.report.scalar)

    def section(self, name: str, shape: type) -> "Section | None":
        """The mapping under a key; None where absent."""
        if name not in self._entries:
            return None
        return Section(self.report, self._entries[name][1], below(self.key, name), shape)

    def sections(self, name: str, shape: type) -> "list[Section]":
        """The mappings of the list under a key."""
        return [Section(self.report, item, key, shape) for item, key in self._items(name)]

    def texts(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """The texts of the list under a key, each through `parse`; mistaken ones are left out."""
        values = (self._parsed(item, key, parse, self.report.text) for item, key in self._items(name))
        return tuple(value for value in values if value is not None)

    def numbers_by_name(self, name: str, parse: Callable[[str], T]) -> Iterator[tuple[str, yaml.Node, str, T | None]]:
        """Of the mapping under a key, whose keys are names: name, its node, its full key, and the value."""
        if name not in self._entries:
            return
        key = below(self.key, name)
        for text, (name_node, value) in self.report.entries(self._entries[name][1], key).items():
            full = below(key, text)
            if self.report.text(name_node, full) is not None:
                yield text, name_node, full, self._parsed(value, full, parse, self.report.scalar)

    def _items(self, name: str) -> list[tuple[yaml.Node, str]]:
        return self.report.items(self._entries[name][1], below(self.key, name)) if name in self._entries else []

    def _value(self, name: str, parse: Callable[[str], T], read: Reading) -> T | None:
        if name not in self._entries:
            return None
        return self._parsed(self._entries[name][1], below(self.key, name), parse, read)

    def _parsed(self, node: yaml.Node, key: str, parse: Callable[[str], T], read: Reading) -> T | None:
        text = read(node, key)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.report.add(node, key, str(error))
            return None
