"""Whether a loaded model is the one that was expected: its first output, its size, its types.

A load can succeed wrongly: weights of another revision, layers that were lost, a quantised copy. `canary.expect` says
what to hold it to; here each of its keys becomes one Check.
"""

import json
import math
import operator
import re
from collections.abc import Iterator, Sequence

from model_load_exporter.canary.reference import ReferenceFileError, read_reference
from model_load_exporter.canary.result import Baseline, CanaryResult, Check
from model_load_exporter.config.schema import Expect, Model, Similarity

_SHOWN = 120


def checks(model: Model, result: CanaryResult, baseline: Baseline | None) -> tuple[Check, ...]:
    """What `canary.expect` comes to for a model that was loaded; empty without an expectation.

    baseline: what earlier runs recorded for this model, whatever its key.
    """
    expect = model.canary.expect if model.canary is not None else None
    return tuple(_checks(expect, model, result, baseline)) if expect is not None else ()


def match(found: Sequence[Check]) -> bool | None:
    """True where all hold, False where one does not, None where that cannot be told yet or nothing is expected."""
    if any(check.ok is False for check in found):
        return False
    return True if found and all(check.ok for check in found) else None


def baseline_key(model: Model, path: str | None) -> str:
    """What a baseline is of. Another path, revision, input, loader, task or name of the baseline needs a new one.

    path: the folder that was loaded; of a repo id it is the snapshot, so that it names the revision.
    """
    canary = model.canary
    expect = canary.expect if canary is not None else None
    name = expect.similarity.baseline if expect is not None and expect.similarity is not None else None
    return json.dumps([model.path, path, canary.input if canary is not None else None, model.loader, model.task, name])


def new_baseline(model: Model, result: CanaryResult, baseline: Baseline | None) -> Baseline | None:
    """The baseline to record after this run; None where one is there, none is used, or this run is not good."""
    canary = model.canary
    similarity = canary.expect.similarity if canary is not None and canary.expect is not None else None
    if similarity is None or similarity.text is not None or similarity.reference is not None:
        return None
    key = baseline_key(model, result.path)
    known = baseline is not None and baseline.key == key
    if known or result.vector is None or any(check.ok is False for check in result.checks):
        return None
    return Baseline(key, result.vector, result.started)


def cosine(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The cosine of the angle between two vectors, -1 to 1; None where they have no angle (lengths differ, zeros)."""
    if len(one) != len(other):
        return None
    norms = math.hypot(*one) * math.hypot(*other)
    return max(-1.0, min(1.0, sum(map(operator.mul, one, other)) / norms)) if norms else None


def _checks(expect: Expect, model: Model, result: CanaryResult, baseline: Baseline | None) -> Iterator[Check]:
    yield from _of_text(expect, result.output)
    if expect.similarity is not None:
        yield _of_similarity(expect.similarity, model, result, baseline)
    for name, wanted, found in (
        ("parameters", expect.parameters, result.parameters),
        ("dtype", expect.dtype, result.dtype),
        ("quantization", expect.quantization, result.quantization),
    ):
        if wanted is not None:
            same = found is not None and str(found).lower() == str(wanted).lower()
            told = str(found) if found is not None else f"the loader {model.loader} does not tell it"
            yield Check(name, same, str(wanted), told)


def _of_text(expect: Expect, output: str | None) -> Iterator[Check]:
    found = _shown(output) if output is not None else "no output"
    text = output or ""
    if expect.contains is not None:
        yield Check("contains", output is not None and expect.contains in text, _shown(expect.contains), found)
    if expect.equals is not None:
        same = output is not None and text.strip() == expect.equals.strip()
        yield Check("equals", same, _shown(expect.equals), found)
    if expect.regex is not None:
        same = output is not None and re.search(expect.regex, text) is not None
        yield Check("regex", same, _shown(expect.regex), found)


def _of_similarity(similarity: Similarity, model: Model, result: CanaryResult, baseline: Baseline | None) -> Check:
    least = f"at least {similarity.at_least:g}"
    if result.vector is None:
        why = "it generates text, which has no embedding" if result.kind == "generate" else "the load gave no numbers"
        return Check("similarity", False, least, why)
    if similarity.text is not None:
        return _compared(f"{least} to {_shown(similarity.text)}", similarity, result.vector, result.vector_of_text)
    if similarity.reference is not None:
        expected = f"{least} to {similarity.reference}"
        try:
            reference = read_reference(similarity.reference)
        except ReferenceFileError as error:
            return Check("similarity", False, expected, str(error))
        given = model.canary.input if model.canary is not None else None
        if reference.input != given:
            other = f"the reference was written for the input {_shown(reference.input or '')}"
            return Check("similarity", False, expected, other)
        return _compared(expected, similarity, result.vector, reference.vector)
    expected = f"{least} to the baseline"
    if baseline is None or baseline.key != baseline_key(model, result.path):
        return Check("similarity", None, expected, "no baseline yet: the daemon records it with the first good run")
    return _compared(expected, similarity, result.vector, baseline.vector)


def _compared(expected: str, similarity: Similarity, vector: Sequence[float], other: Sequence[float] | None) -> Check:
    if other is not None and len(other) != len(vector):
        return Check("similarity", False, expected, f"{len(vector)} numbers instead of {len(other)}")
    found = cosine(vector, other) if other is not None else None
    if found is None:
        return Check("similarity", False, expected, "the output is all zeros, which is similar to nothing")
    return Check("similarity", found >= similarity.at_least, expected, f"{found:.4f}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
