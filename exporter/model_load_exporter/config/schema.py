"""The config file's shape: one class a section, one field a key, with its default and unit.

The field names are the keys of the file: what is unknown, which defaults docs/CONFIGURE.md may claim, and what a
misspelled key is compared with are all read from these classes. Values arrive checked; see `build`.
"""

from dataclasses import dataclass, field

LOADERS = ("transformers", "torch", "safetensors", "onnx", "tflite", "gguf")
"""The loaders with a name. Besides them: `python:module:callable`, `python:/path/of/file.py:callable`."""

VERIFY_LEVELS = ("header", "checksum")
"""How deep the daemon looks into model files."""

RESERVED_NAMES = {
    "other": "it stands for the models above limits.models",
    "unknown": "it stands for loads that tell no name",
}
"""Values of the label `model` that no configured model may take."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a load of the model may take before an alert fires: seconds, and bytes of memory in use."""

    load_seconds: float = 60.0
    memory_bytes: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike two outputs must be: the cosine of their numbers, at least.

    At most one of the others is set: a text whose own output is the other one, a file with a reference, or a name for
    the baseline that the first good run recorded. None of them: that baseline, without a name.
    """

    at_least: float
    baseline: str | None = None
    text: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """What the loaded model must be; all that is set must hold.

    At most one of contains, equals, regex and similarity, which are of its first output.
    """

    contains: str | None = None
    equals: str | None = None
    regex: str | None = None
    similarity: Similarity | None = None
    parameters: int | None = None
    dtype: str | None = None
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """How the exporter tries the load itself: seconds, bytes, and the interpreter (None: the exporter's own)."""

    interval: float = 900.0
    timeout: float = 300.0
    memory_limit: int | None = None
    python: str | None = None
    input: str | None = None
    expect: Expect | None = None


@dataclass(frozen=True, slots=True)
class Verify:
    """How the model's files are checked without loading them: seconds, and bytes a second.

    `level`: `checksum` reads the contents too, when the files look changed and each `checksum_interval`, at `rate`;
    `header` never does. `timeout`: a check that reads nothing for so long is given up.
    """

    interval: float = 3600.0
    manifest: str | None = None
    level: str = "checksum"
    checksum_interval: float = 86400.0
    rate: int = 50_000_000
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Model:
    """One model to know by name.

    `path` is absolute, or a repo id of the local hub cache (it has no leading `/`). `match` holds fnmatch patterns.
    Without a name it is a pattern entry: `path` is a glob, and `discover.expand` puts a model for each match.
    """

    name: str
    path: str | None = None
    match: tuple[str, ...] = ()
    loader: str = "transformers"
    task: str | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    canary: Canary | None = None
    verify: Verify | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its `target` label, its health addresses, and how many processes must hold each model."""

    target: str
    url: str | None = None
    model_url: str | None = None
    interval: float = 5.0
    models: dict[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what the exporter keeps: models with series of their own, configured or not."""

    models: int = 200


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. An empty file is an empty Config: the exporter then knows what the journals tell it."""

    models: tuple[Model, ...] = ()
    services: tuple[Service, ...] = ()
    cache_paths: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
