"""`canary.expect` of the config file: one check of the output, and what the model must be of."""

from functools import partial

from model_load_exporter.config import values
from model_load_exporter.config.schema import Expect, Similarity
from model_load_exporter.config.section import Section
from model_load_exporter.units import shown

DTYPES = (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int32", "int16", "int8",
    "uint8", "qint8", "quint8",
)  # fmt: skip
"""The names that torch has for types of weights, and that `probe` tells."""

MOST_PARAMETERS = 10**15

_OF_OUTPUT = ("contains", "equals", "regex", "similarity")
_COMPARED_WITH = ("baseline", "text", "reference")
_GENERATING = ("text-generation", "text2text-generation", "summarization", "translation")


def expect(section: Section | None, task: str | None, folder: str) -> Expect | None:
    """The section as an Expect. task: the model's, since not every output can be compared in every way."""
    if section is None:
        return None
    given = [key for key in _OF_OUTPUT if key in section]
    found = Expect(
        contains=section.text("contains", values.comparable),
        equals=section.text("equals", values.comparable),
        regex=section.text("regex", values.regex),
        similarity=_similarity(section, folder),
        parameters=section.number("parameters", partial(values.count, least=1, most=MOST_PARAMETERS)),
        dtype=section.text("dtype", _dtype),
        quantization=section.text("quantization", values.name),
    )
    if len(given) > 1:
        section.wrong("", f"sets {' and '.join(given)}; keep one of them")
    if not given and section.is_mapping and not any(key in section for key in ("parameters", "dtype", "quantization")):
        section.wrong(
            "", f"says nothing to compare with; set one of {', '.join(_OF_OUTPUT)}, or parameters, dtype, quantization"
        )
    if "similarity" in section and generates(task):
        section.wrong(
            "similarity", f"compares embeddings, but task {task} generates text; use contains, equals or regex"
        )
    return found


def generates(task: str | None) -> bool:
    """Whether a model of that task answers with text of its own: it has no embedding to compare."""
    return task is not None and (task in _GENERATING or task.startswith("translation_"))


def _similarity(section: Section, folder: str) -> Similarity | None:
    """A number alone is compared with the baseline; a mapping says with what."""
    if not section.holds_mapping("similarity"):
        least = section.number("similarity", _least)
        return Similarity(least) if least is not None else None
    inner = section.section("similarity", Similarity)
    if inner is None:
        return None
    if "at_least" not in inner:
        inner.wrong("", "has no at_least; add at_least, such as 0.99")
    given = [key for key in _COMPARED_WITH if key in inner]
    if len(given) > 1:
        inner.wrong("", f"sets {' and '.join(given)}; keep one of them")
    return Similarity(
        at_least=inner.number("at_least", _least) or 1.0,
        baseline=inner.text("baseline", values.name),
        text=inner.text("text", values.model_input),
        reference=inner.text("reference", partial(values.path, folder=folder)),
    )


def _least(text: str) -> float:
    try:
        least = float(text)
    except ValueError:
        least = -1.0
    if not 0 < least <= 1:
        raise ValueError(f"{shown(text)} is no similarity; write a number above 0 and at most 1, such as 0.99")
    return least


def _dtype(text: str) -> str:
    if text in DTYPES:
        return text
    raise ValueError(f"{shown(text)} is no type of weights; known: {', '.join(DTYPES)}")
