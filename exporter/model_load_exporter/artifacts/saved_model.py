"""TensorFlow's SavedModel: a folder with the graph, the checkpoint of its variables, its assets and a fingerprint."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, Region, name_of, opened
from model_load_exporter.artifacts.farmhash import fingerprint64
from model_load_exporter.artifacts.format import FolderFormat
from model_load_exporter.artifacts.summary import ArtifactError, Summary
from model_load_exporter.artifacts.tensor_bundle import check, read_bundle
from model_load_exporter.artifacts.tf_checkpoint import summary
from model_load_exporter.artifacts.wire import BYTES, VARINT, Message

GRAPH, TEXT, FINGERPRINT = "saved_model.pb", "saved_model.pbtxt", "fingerprint.pb"
_MAX_FINGERPRINT = 64 * 1024
_MAX_ASSETS = 10_000
_CHECKPOINT_HASH = 5


@dataclass
class _Graph:
    """What saved_model.pb says."""

    notes: dict[str, str] = field(default_factory=dict)
    meta_graphs: int = 0
    tags: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    has_saver: bool = False


def matches(folder: Path) -> bool:
    """By its graph's name, that of a link into nowhere too; without a graph by what else only a SavedModel has."""
    return any(os.path.lexists(folder / name) for name in (GRAPH, TEXT, FINGERPRINT, "variables/variables.index"))


def present(folder: Path) -> None:
    """Whether the graph is there and not empty. Raises ArtifactError, OSError."""
    if (folder / TEXT).exists() and not (folder / GRAPH).exists():
        return
    try:
        size = (folder / GRAPH).stat().st_size
    except FileNotFoundError:
        raise ArtifactError("file_missing", f"{folder / GRAPH} is missing: the model has no graph") from None
    if size == 0:
        raise ArtifactError("file_empty", f"{folder / GRAPH} is empty")


def read(folder: Path) -> Summary:
    """The graph's outline, the variables' places and the assets. Raises ArtifactError, OSError."""
    present(folder)
    graph, files = _Graph(), [folder / GRAPH]
    if files[0].exists():
        with opened(files[0]) as region:
            _saved_model(region, graph)
    else:  # a graph as text, which only people write
        files = [folder / TEXT]
    for name in graph.assets:
        if not (folder / "assets" / name).exists():
            raise ArtifactError("file_missing", f"{folder / 'assets' / name} is missing, and {GRAPH} names it")
    index = _index(folder)
    if not index.exists():
        if graph.has_saver or index.parent.exists():
            raise ArtifactError("file_missing", f"{index} is missing: the model has variables")
        return summary("saved_model", [], files, graph.notes)
    return summary("saved_model", [read_bundle(index)], [*files, index], graph.notes)


def deep(folder: Path, advance: Callable[[int], None]) -> None:
    """Every variable against its CRC, and their index against fingerprint.pb where there is one (TensorFlow 2.12).

    The graph's own number in that file is of a form that TensorFlow makes in memory: files do not show it.
    """
    index = _index(folder)
    if not index.exists():
        return
    check(read_bundle(index), advance)
    expected = _fingerprint(folder / FINGERPRINT)
    if expected is None:
        return
    with opened(index) as region:
        if fingerprint64(region.at(0, region.size)) != expected:
            raise Damaged(f"is not the index that was saved with this graph: it does not match {FINGERPRINT}")
        advance(region.size)


def _index(folder: Path) -> Path:
    return folder / "variables" / "variables.index"


def _saved_model(region: Region, graph: _Graph) -> None:
    message = Message.whole(region)
    for number, wire, value, place in message.fields():
        if number == 1 and wire == VARINT:
            graph.notes["version"] = str(value)
        elif number == 2 and wire == BYTES:
            graph.meta_graphs += 1
            _meta_graph(message.inner(place, value), graph)
    if not graph.meta_graphs:
        raise Damaged("holds no graph: it is truncated, or no SavedModel")
    if graph.tags:
        graph.notes["tags"] = ", ".join(dict.fromkeys(graph.tags))[:200]


def _meta_graph(message: Message, graph: _Graph) -> None:
    for number, wire, value, place in message.fields():
        if wire != BYTES:
            continue
        inner = message.inner(place, value)
        if number == 1:
            for key, kind, length, at in inner.fields():
                if key == 4 and kind == BYTES and len(graph.tags) < 100:
                    graph.tags.append(inner.text(at, length))
                elif key == 5 and kind == BYTES:
                    graph.notes["producer"] = f"tensorflow {inner.text(at, length)}"
        elif number == 2:
            for _ in inner.fields():
                pass
        elif number == 3 and value:
            graph.has_saver = True
        elif number == 6:
            graph.assets.append(_asset(inner))
            if len(graph.assets) > _MAX_ASSETS:
                raise Damaged(f"names more than {_MAX_ASSETS} assets")


def _asset(message: Message) -> str:
    name = ""
    for number, wire, value, place in message.fields():
        if number == 2 and wire == BYTES:
            name = message.region.at(place, min(value, 4096)).decode("utf-8", "replace")
    if not name or "\0" in name or name.startswith("/") or ".." in Path(name).parts:
        raise Damaged(f"names an asset {name_of(name)}, outside of its folder")
    return name


def _fingerprint(path: Path) -> int | None:
    """checkpoint_hash, None where there is no such file or number."""
    if not path.exists():
        return None
    with opened(path) as region:
        if region.size > _MAX_FINGERPRINT:
            raise Damaged(f"has {region.size} bytes; a fingerprint has less than {_MAX_FINGERPRINT}")
        for number, wire, value, _ in Message.whole(region).fields():
            if number == _CHECKPOINT_HASH and wire == VARINT:
                return value
    return None


FORMAT = FolderFormat("saved_model", matches, read, deep, present)
