"""Reads single nodes, and notes every mistake on the way instead of raising at the first."""

import difflib
import json
import re
from collections.abc import Collection
from itertools import islice

import yaml

from model_load_exporter.config.problems import Problem
from model_load_exporter.units import shown

_TAG = "tag:yaml.org,2002:"
_NOT_TEXT = {"bool": "a truth value", "int": "a number", "float": "a number", "timestamp": "a date"}
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+|<<")
_SURROGATES = re.compile("[\ud800-\udfff]")
_MANY = 100


class Report:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, node: yaml.Node, key: str, message: str) -> None:
        """Notes a mistake on the node's line."""
        self.problems.append(Problem(self.file, node.start_mark.line + 1, key, message))

    def scalar(self, node: yaml.Node, key: str) -> str | None:
        """The characters of a single value, whatever YAML takes them for."""
        if not isinstance(node, yaml.ScalarNode):
            self.add(node, key, f"is {_found(node)}, but a single value belongs here; write the value after the colon")
            return None
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        if kind == "null":
            what = f'{text} means nothing in YAML; write "{text}" in quotes' if text else "is empty; give a value"
            self.add(node, key, f"{what} or remove the key")
            return None
        if kind not in {"str", *_NOT_TEXT}:
            self.add(node, key, f"the tag {shown(node.tag)[1:-1]} is not understood; remove it")
            return None
        return text

    def text(self, node: yaml.Node, key: str) -> str | None:
        """The same, refusing what YAML takes for something other than text: `yes`, `1.0`, a date."""
        text = self.scalar(node, key)
        if text is None:
            return None
        kind = node.tag.removeprefix(_TAG)
        if kind in _NOT_TEXT:
            self.add(node, key, f"{text} is {_NOT_TEXT[kind]} in YAML, not text; write {shown(text)} in quotes")
            return None
        if _SURROGATES.search(text):
            self.add(node, key, f"{shown(text)} holds half a character; correct its \\u escape")
            return None
        return text

    def entries(self, node: yaml.Node, key: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key to key node and value node of a mapping; what `<<` merges in comes last and overrides nothing."""
        if not isinstance(node, yaml.MappingNode):
            found = _found(node)
            do = "write {} for the defaults or remove the key" if found == "empty" else 'write "key: value" lines'
            do = do if key else 'begin the file with "models:"'
            self.add(node, key, f"is {found}, but a mapping belongs here; {do}")
            return {}
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for name, value in node.value:
            if name.tag == _TAG + "merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif not isinstance(name, yaml.ScalarNode):
                self.add(name, key, f"{_found(name)} cannot be a key; write a plain word before the colon")
            elif name.value in entries:
                first = entries[name.value][0].start_mark.line + 1
                self.add(name, below(key, name.value), f"is set twice, first on line {first}; remove one of the two")
            else:
                entries[name.value] = name, value
        for other in merged:
            for text, entry in self.entries(other, below(key, "<<")).items():
                entries.setdefault(text, entry)
        return entries

    def items(self, node: yaml.Node, key: str) -> list[tuple[yaml.Node, str]]:
        """The nodes of a list, each with its full key. An empty value is an empty list: templates write it so."""
        if isinstance(node, yaml.SequenceNode):
            return [(item, f"{key}[{index}]") for index, item in enumerate(node.value)]
        found = _found(node)
        if found != "empty":
            self.add(node, key, f'is {found}, but a list belongs here; begin each entry with "- "')
        return []

    def suggestion(self, name: str, known: Collection[str]) -> str:
        """The nearest known name, else what is known. Without a search once there are very many problems."""
        if len(self.problems) < _MANY:
            lowered = name[:60].lower().replace("-", "_")
            if close := difflib.get_close_matches(lowered, list(islice(known, 1000)), n=1, cutoff=0.6):
                return f"did you mean {close[0]}?"
        return (
            f"known: {', '.join(islice(known, 12))}{', ...' if len(known) > 12 else ''}" if known else "none is known"
        )


def below(key: str, name: str) -> str:
    """The full key of a name within a section: `models[0].path`, `services[0].models["org/name"]`."""
    if not name:
        return key
    if _PLAIN_KEY.fullmatch(name):
        return f"{key}.{name}" if key else name
    return f"{key}[{json.dumps(name[:60])}]"


def _found(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "empty" if node.tag == _TAG + "null" else "a single value"
