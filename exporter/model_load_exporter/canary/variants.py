"""Other ways to load the same model that may need less or avoid a fault: the table of `probe --variants`.

One row a way. A way that cannot apply here says why, and is not tried: nothing is told of a load that did not happen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_load_exporter.canary.result import CanaryResult
from model_load_exporter.reasons import REASONS

_ORDER = ("other", "config", "tokenizer", "weights", "pipeline", "inference")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_SLOW_TOKENIZERS = (
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "merges.txt",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether a variant applies. base: the load as configured. suffixes: of the files of the model.

    versions: of the interpreter's libraries, as numbers; empty where they are not known.
    """

    loader: str
    base: CanaryResult
    suffixes: frozenset[str]
    names: frozenset[str]
    versions: Mapping[str, tuple[int, ...]]

    def newer(self, library: str, *version: int) -> bool:
        """Whether the library is of that version or newer; False where its version is not known."""
        return self.versions.get(library, ()) >= version


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to load. stage: where it changes the load. loaders: whose it is; empty: every loader's.

    options: the child's, of child.OPTIONS. change: what to write to have it, the exact code. share: of the weights'
    predicted size that remains. other_files: it reads other files than the base, so it may help where a file is bad.
    convert: the pickle is written as safetensors to a temporary folder first. obstacle: why it does not apply.
    without: stages that it leaves out.
    """

    name: str
    stage: str
    change: str
    loaders: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    share: float = 1.0
    other_files: bool = False
    convert: bool = False
    without: tuple[str, ...] = ()
    obstacle: Callable[[Facts], str | None] = lambda facts: None


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one variant. result: None where it does not apply, `why` then says why.

    same_output: as the base's; None where that cannot be told. similarity: the cosine of both outputs' numbers.
    """

    variant: Variant
    result: CanaryResult | None = None
    why: str = ""
    same_output: bool | None = None
    similarity: float | None = None

    def to_json(self) -> dict[str, Any]:
        """One entry of `variants`."""
        result = self.result
        return {
            "name": self.variant.name,
            "applies": result is not None,
            "why": self.why or None,
            "outcome": result.outcome if result else None,
            "reason": result.reason if result else None,
            "stage": result.stage if result else None,
            "message": result.message if result else "",
            "duration_seconds": round(result.duration_seconds, 6) if result else None,
            "peak_memory": {
                "rss_bytes": result.peak_rss_bytes if result else None,
                "anonymous_bytes": result.peak_anonymous_bytes if result else None,
            },
            "dtype": result.dtype if result else None,
            "quantization": result.quantization if result else None,
            "output": result.output if result else None,
            "same_output": self.same_output,
            "similarity": self.similarity,
            "change": self.variant.change,
        }


def obstacle(variant: Variant, facts: Facts) -> str | None:
    """Why the variant does not apply here, or None."""
    base = facts.base
    why = variant.obstacle(facts)
    if why is not None or base.outcome != "failed":
        return why
    if base.stage is None:
        return "the load fails before its first stage"
    if base.stage in _ORDER and _ORDER.index(base.stage) < _ORDER.index(variant.stage):
        return f"the load fails before it, at stage {base.stage}"
    if REASONS[base.reason or "unknown"].family == "files" and not variant.other_files:
        return f"the files are at fault ({base.reason}), not how they are loaded"
    return None


def variants_for(loader: str) -> tuple[Variant, ...]:
    """The table's rows for that loader."""
    return tuple(variant for variant in TABLE if not variant.loaders or loader in variant.loaders)


def change_of(variant: Variant, facts: Facts) -> str:
    """The variant's code for the installed version: transformers called the type torch_dtype before 4.56."""
    old = facts.loader == "transformers" and not facts.newer("transformers", 4, 56)
    return variant.change.replace("(..., dtype=", "(..., torch_dtype=") if old else variant.change


def _has_type(name: str) -> Callable[[Facts], str | None]:
    return lambda facts: f"the weights are {name} already" if facts.base.dtype == name else None


def _safetensors(facts: Facts) -> str | None:
    if ".safetensors" not in facts.suffixes:
        return "there are no *.safetensors; see the row below"
    return None if facts.suffixes & set(_PICKLES) else "it loads safetensors already"


def _pickle(facts: Facts) -> str | None:
    both = ".safetensors" in facts.suffixes and facts.suffixes & set(_PICKLES)
    return None if both else "the folder does not have both forms"


def _converted(facts: Facts) -> str | None:
    if facts.base.reason == "unsafe_pickle":
        return "a pickle that wants to run code is not opened to convert it"
    return None if facts.suffixes & set(_PICKLES) and ".safetensors" not in facts.suffixes else "it is no pickle"


def _low_memory(facts: Facts) -> str | None:
    return "transformers 5 always does" if facts.newer("transformers", 5) else None


def _slow_tokenizer(facts: Facts) -> str | None:
    if facts.newer("transformers", 5):
        return "transformers 5 has no second, slow tokenizer"
    return None if facts.names & set(_SLOW_TOKENIZERS) else "the folder has no files of a slow tokenizer"


def _eager(facts: Facts) -> str | None:
    return None if facts.newer("transformers", 4, 36) else "transformers before 4.36 has no choice"


def _no_pipeline(facts: Facts) -> str | None:
    return None if facts.base.stage == "pipeline" else "the pipeline is not what fails"


def _mmap(facts: Facts) -> str | None:
    return None if facts.newer("torch", 2, 1) else "torch before 2.1 cannot"


def _already(how: str) -> Callable[[Facts], str | None]:
    return lambda facts: f"every probe load {how} already"


_TORCH_CPU = 'torch.load(FILE, map_location="cpu", weights_only=True'
_TENSORS = ("torch", "safetensors")

TABLE: tuple[Variant, ...] = (
    Variant(
        "safetensors", "weights", "from_pretrained(..., use_safetensors=True)", ("transformers",),
        {"use_safetensors": True}, other_files=True, obstacle=_safetensors,
    ),
    Variant(
        "safetensors, converted", "weights",
        "convert once: from_pretrained(PATH).save_pretrained(NEW), which writes safetensors",
        ("transformers",), convert=True, other_files=True, obstacle=_converted,
    ),
    Variant(
        "safetensors, converted", "weights",
        f'convert once: safetensors.torch.save_file({_TORCH_CPU}), "model.safetensors")',
        ("torch",), convert=True, other_files=True, obstacle=_converted,
    ),
    Variant(
        "pickle", "weights", "from_pretrained(..., use_safetensors=False)", ("transformers",),
        {"use_safetensors": False}, other_files=True, obstacle=_pickle,
    ),
    Variant("mmap", "weights", f"{_TORCH_CPU}, mmap=True)", ("torch",), {"mmap": True}, obstacle=_mmap),
    Variant(
        "bfloat16", "weights", "from_pretrained(..., dtype=torch.bfloat16)", ("transformers",),
        {"dtype": "bfloat16"}, 0.5, obstacle=_has_type("bfloat16"),
    ),
    Variant(
        "float16", "weights", "from_pretrained(..., dtype=torch.float16)", ("transformers",),
        {"dtype": "float16"}, 0.5, obstacle=_has_type("float16"),
    ),
    Variant(
        "bfloat16, tensor by tensor", "weights",
        "weights = {name: tensor.to(torch.bfloat16) for name, tensor in mapped weights}, then model.to(torch.bfloat16)",
        _TENSORS, {"dtype": "bfloat16", "mmap": True}, 0.5, obstacle=_has_type("bfloat16"),
    ),
    Variant(
        "int8, dynamic", "weights",
        "torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8); with torchao: "
        "quantize_(model, Int8WeightOnlyConfig())",
        ("transformers",), {"int8": True},
    ),
    Variant(
        "low memory", "weights", "from_pretrained(..., low_cpu_mem_usage=True)", ("transformers",),
        {"low_memory": True}, obstacle=_low_memory,
    ),
    Variant(
        "eager attention", "weights", 'from_pretrained(..., attn_implementation="eager")', ("transformers",),
        {"attention": "eager"}, obstacle=_eager,
    ),
    Variant(
        "slow tokenizer", "tokenizer", "AutoTokenizer.from_pretrained(..., use_fast=False)", ("transformers",),
        {"use_fast": False}, obstacle=_slow_tokenizer,
    ),
    Variant(
        "without pipeline", "pipeline", "call the model and its tokenizer yourself instead of pipeline(...)",
        ("transformers",), without=("pipeline",), obstacle=_no_pipeline,
    ),
    Variant(
        "graph as it is", "weights", "SessionOptions.graph_optimization_level = ORT_DISABLE_ALL", ("onnx",),
        {"optimize": False},
    ),
    Variant(
        "without arena", "weights", "SessionOptions.enable_cpu_mem_arena = enable_mem_pattern = False", ("onnx",),
        {"arena": False},
    ),
    Variant(
        "without delegates", "weights",
        "Interpreter(..., experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)",
        ("tflite",), {"delegates": False},
    ),
    Variant("without mmap", "weights", "Llama(..., use_mmap=False)", ("gguf",), {"mmap": False}),
    Variant("CPU only", "weights", 'device="cpu"', obstacle=_already("is on the CPU")),
    Variant("offline", "weights", "HF_HUB_OFFLINE=1", obstacle=_already("is offline")),
)  # fmt: skip


def facts_of(loader: str, path: str | None, base: CanaryResult) -> Facts:
    """Looks at the model's folder or file."""
    place = Path(path) if path else None
    files = [file for file in place.iterdir() if file.is_file()] if place is not None and place.is_dir() else []
    files = files or ([place] if place is not None else [])
    versions = {name: _version(text) for name, text in base.versions}
    # training_args.bin and its like are no weights.
    weights = [file for file in files if not file.name.startswith(("training_args", "optimizer", "scheduler"))]
    names = frozenset(file.name for file in files)
    return Facts(loader, base, frozenset(file.suffix for file in weights), names, versions)


def _version(text: str) -> tuple[int, ...]:
    parts = text.split("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())
