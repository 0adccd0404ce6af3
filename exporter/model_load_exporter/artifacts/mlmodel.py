"""Core ML's .mlmodel, and the specification in an .mlpackage: one protocol buffer, Model."""

from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, Region, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.summary import Summary
from model_load_exporter.artifacts.wire import BYTES, VARINT, Message

KINDS = {
    200: "pipelineClassifier", 201: "pipelineRegressor", 202: "pipeline", 300: "glmRegressor",
    301: "supportVectorRegressor", 302: "treeEnsembleRegressor", 303: "neuralNetworkRegressor",
    304: "bayesianProbitRegressor", 400: "glmClassifier", 401: "supportVectorClassifier",
    402: "treeEnsembleClassifier", 403: "neuralNetworkClassifier", 404: "kNearestNeighborsClassifier",
    500: "neuralNetwork", 501: "itemSimilarityRecommender", 502: "mlProgram", 555: "customModel",
    556: "linkedModel", 560: "classConfidenceThresholding", 600: "oneHotEncoder", 601: "imputer",
    602: "featureVectorizer", 603: "dictVectorizer", 604: "scaler", 606: "categoricalMapping", 607: "normalizer",
    609: "arrayFeatureExtractor", 610: "nonMaximumSuppression", 900: "identity", 2000: "textClassifier",
    2001: "wordTagger", 2002: "visionFeaturePrint", 2003: "soundAnalysisPreprocessing", 2004: "gazetteer",
    2005: "wordEmbedding", 2006: "audioFeaturePrint", 3000: "serializedModel",
}  # fmt: skip
"""The model's type, by its field's number."""

_SPECIFICATION, _DESCRIPTION, _METADATA, _FIRST_KIND = 1, 2, 100, 200
_NOTED = {1: "description", 2: "model_version", 3: "author", 4: "license"}


def read(path: Path) -> Summary:
    """One specification. Raises ArtifactError, OSError."""
    with opened(path) as region:
        notes, model_bytes = specification(region)
        return Summary("mlmodel", region.size, model_bytes, metadata=notes)


def specification(region: Region) -> tuple[dict[str, str], int]:
    """(notes, bytes of the model itself). Raises Damaged."""
    notes, model_bytes = dict[str, str](), 0
    message = Message.whole(region)
    for number, wire, value, place in message.fields():
        if number == _SPECIFICATION and wire == VARINT and 0 < value < 2**31:
            notes["version"] = str(value)
        elif number == _DESCRIPTION and wire == BYTES:
            _description(message.inner(place, value), notes)
        elif wire == BYTES and number >= _FIRST_KIND:
            notes["architecture"], model_bytes = KINDS.get(number, f"type {number}"), value
            for _ in message.inner(place, value).fields():
                pass
    if "version" not in notes:
        raise Damaged("has no specificationVersion: it is no Core ML model")
    if "architecture" not in notes:
        raise Damaged("holds no model: it is truncated, or no Core ML model")
    return notes, model_bytes


def _description(message: Message, notes: dict[str, str]) -> None:
    for number, wire, value, place in message.fields():
        if number != _METADATA or wire != BYTES:
            continue
        metadata = message.inner(place, value)
        for key, kind, length, at in metadata.fields():
            if kind == BYTES and key in _NOTED and length:
                notes[_NOTED[key]] = metadata.text(at, length)
            elif kind == BYTES and key == 100:
                _producer(metadata.inner(at, length), notes)


def _producer(entry: Message, notes: dict[str, str]) -> None:
    """One entry of the user's own metadata; coremltools notes itself there."""
    texts = {number: entry.text(place, value) for number, wire, value, place in entry.fields() if wire == BYTES}
    if texts.get(1) == "com.github.apple.coremltools.version":
        notes["producer"] = f"coremltools {texts.get(2, '')}".strip()


FORMAT = Format("mlmodel", (".mlmodel",), read)
