"""Bytes of a config file to YAML nodes, which know their lines.

Only nodes are composed: no Python object is ever made from a tag. Anchors, aliases and merge keys work; size, depth
and what the aliases expand to are bounded, so a hostile file costs a message and not the daemon.
"""

from pathlib import Path

import yaml

from model_load_exporter.config.problems import ConfigError, Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_NODES = 200_000


def read_text(file: str) -> str:
    """The file's text. Raises ConfigError where it is missing, unreadable, too large or not UTF-8."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise _refused(file, 0, "is a folder; name the file in it") from None
    except FileNotFoundError:
        raise _refused(file, 0, "does not exist; check --config.file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _refused(file, 0, f"cannot be read ({why}); let the exporter's user read it") from None
    if len(data) > MAX_BYTES:
        raise _refused(file, 0, f"is larger than {MAX_BYTES >> 20} MiB; is this the config file?")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(
            file, line, f"is not UTF-8 text (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from None


def compose(text: str, file: str) -> yaml.Node | None:
    """The document's root node; None for an empty one. Raises ConfigError where it is not the YAML taken here."""
    if len(text) > MAX_BYTES:
        raise _refused(file, 0, f"is larger than {MAX_BYTES >> 20} MiB; is this the config file?")
    if odd := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise _refused(file, line, f"holds the control character U+{ord(odd.group()):04X}; remove it")
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except _RefusedError as error:
        raise _refused(file, error.line, str(error)) from None
    except yaml.MarkedYAMLError as error:
        raise _refused(file, *_told(error)) from None
    except (ValueError, OverflowError):
        # PyYAML turns an escape above U+10FFFF, and a %YAML version of a thousand digits, into no error of its own.
        raise _refused(file, loader.line + 1, "not valid YAML: a number or escape out of range; correct it") from None
    finally:
        loader.dispose()


class _RefusedError(Exception):
    def __init__(self, place: yaml.Event | yaml.Node, message: str) -> None:
        super().__init__(message)
        self.line = 0 if place.start_mark is None else place.start_mark.line + 1


class _Loader(yaml.SafeLoader):
    """Composes nodes, and weighs each once it is whole: an alias then costs no walk to know what it expands to."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._weights: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it bare
        if self._depth == MAX_DEPTH:
            message = f"is nested deeper than {MAX_DEPTH} levels; no key of this file needs that"
            raise _RefusedError(event, message)
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._weights:
                raise _RefusedError(event, f"the alias *{event.anchor} stands inside what it names")
        elif node is not None:
            self._weigh(node)
        return node

    def _weigh(self, node: yaml.Node) -> None:
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        # The square root of this bound also bounds how long a chain of aliases can be, so a walk along one is safe.
        count = 1 + sum(self._weights[id(part)] for part in parts)
        if count > MAX_NODES:
            raise _RefusedError(node, f"holds more than {MAX_NODES} values, aliases resolved; write fewer")
        self._weights[id(node)] = count


def _told(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """Line and message of a syntax error."""
    mark, problem = error.problem_mark, error.problem or "syntax error"
    if "end of stream" in problem and error.context_mark is not None:
        mark = error.context_mark  # a quote or bracket left open is mended where it opens, not at the file's end
    line = mark.line + 1 if mark is not None else 0
    if "'\\t'" in problem:
        return line, "not valid YAML: a tab where only spaces may stand; replace it with spaces"
    if "single document" in (error.context or ""):
        return line, "not valid YAML: a second document begins here; keep one document in the file"
    context = f" {error.context}" if error.context else ""
    return line, f"not valid YAML: {problem}{context}; check the indentation, colons and quotes here"


def _refused(file: str, line: int, message: str) -> ConfigError:
    return ConfigError((Problem(file, line, "", message),))
