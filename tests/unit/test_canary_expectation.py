"""What a loaded model is held to: each key a check, all of them one answer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.canary import expectation
from model_load_exporter.canary.reference import ReferenceFileError, read_reference, write_reference
from model_load_exporter.canary.result import Baseline, CanaryResult, Check
from model_load_exporter.canary.standing import Standings
from model_load_exporter.config import Canary, Expect, Model, Similarity
from model_load_exporter.ledger import Ledger

LOADED = CanaryResult(
    "m", "/models/m", "abc", "loaded", 1_700_000_000.0, output="Bonjour, le monde.", vector=(3.0, 4.0),
    parameters=100, dtype="float32", quantization="none", kind="embed",
)  # fmt: skip


def model(**keys: object) -> Model:
    expect = Expect(**keys)  # type: ignore[arg-type]  # the tests pass what the class takes
    return Model("m", "/models/m", canary=Canary(input="Hello", expect=expect))


def judged(result: CanaryResult = LOADED, baseline: Baseline | None = None, **keys: object) -> dict[str, bool | None]:
    return {check.name: check.ok for check in expectation.checks(model(**keys), result, baseline)}


@pytest.mark.parametrize(
    ("keys", "ok"),
    [
        ({"contains": "monde"}, True),
        ({"contains": "world"}, False),
        ({"equals": " Bonjour, le monde. "}, True),
        ({"equals": "Bonjour"}, False),
        ({"regex": r"^Bon\w+,"}, True),
        ({"regex": r"\d"}, False),
        ({"parameters": 100}, True),
        ({"parameters": 99}, False),
        ({"dtype": "float32"}, True),
        ({"dtype": "bfloat16"}, False),
        ({"quantization": "NONE"}, True),
        ({"quantization": "int8"}, False),
    ],
)
def test_each_key_is_a_check(keys: dict[str, Any], ok: bool) -> None:
    """One key, one check, with its name."""
    assert judged(**keys) == {next(iter(keys)): ok}


def test_what_the_load_did_not_tell_does_not_hold() -> None:
    """An output, a type or a count that is not known is never as expected."""
    silent = replace(LOADED, output=None, vector=None, parameters=None, dtype=None, quantization=None)
    keys: dict[str, Any] = {"contains": "x", "parameters": 1, "dtype": "float32", "quantization": "none"}

    assert set(judged(silent, **keys).values()) == {False}


@pytest.mark.parametrize(
    ("found", "answer"),
    [([], None), ([True], True), ([True, None], None), ([None, False], False), ([True, False], False)],
)
def test_the_answer_needs_all_of_them(found: list[bool | None], answer: bool | None) -> None:
    """One that fails is enough to say no; one that is not known yet keeps the answer open."""
    assert expectation.match([Check("k", ok, "", "") for ok in found]) is answer


def test_the_first_good_run_records_the_baseline() -> None:
    """It has nothing to compare with; the second is compared with it."""
    wanted = model(similarity=Similarity(0.99))
    first = replace(LOADED, checks=expectation.checks(wanted, LOADED, None))
    baseline = expectation.new_baseline(wanted, first, None)

    assert [check.ok for check in first.checks] == [None]
    assert baseline is not None
    assert judged(baseline=baseline, similarity=Similarity(0.99)) == {"similarity": True}
    assert judged(replace(LOADED, vector=(4.0, 3.0)), baseline, similarity=Similarity(0.99)) == {"similarity": False}
    assert expectation.new_baseline(wanted, first, baseline) is None


def test_a_run_that_is_not_as_expected_records_none() -> None:
    """A wrong model must not become what later ones are held to."""
    wanted = model(similarity=Similarity(0.99), dtype="float16")
    first = replace(LOADED, checks=expectation.checks(wanted, LOADED, None))

    assert expectation.new_baseline(wanted, first, None) is None


@pytest.mark.parametrize(
    "other",
    [
        Model(
            "m", "/models/m", task="fill-mask", canary=Canary(input="Hello", expect=Expect(similarity=Similarity(0.9)))
        ),
        Model("m", "/models/m", canary=Canary(input="Bye", expect=Expect(similarity=Similarity(0.9)))),
        Model("m", "/models/m", canary=Canary(input="Hello", expect=Expect(similarity=Similarity(0.9, "new")))),
        Model("m", "/models/n", canary=Canary(input="Hello", expect=Expect(similarity=Similarity(0.9)))),
    ],
    ids=["task", "input", "name", "path"],
)
def test_another_question_needs_another_baseline(other: Model) -> None:
    """A changed path, input, task or name of the baseline is not held against the old one."""
    key = expectation.baseline_key(model(similarity=Similarity(0.9)), "/models/m")

    assert expectation.baseline_key(other, "/models/m") != key
    assert expectation.checks(other, LOADED, Baseline(key, (1.0, 0.0), 0.0))[0].ok is None


def test_another_revision_needs_another_baseline() -> None:
    """A repo id of the hub is loaded from its snapshot's folder, which names the revision."""
    wanted = model(similarity=Similarity(0.9))

    assert expectation.baseline_key(wanted, "/hub/snapshots/a") != expectation.baseline_key(wanted, "/hub/snapshots/b")


def test_a_smaller_threshold_keeps_the_baseline() -> None:
    """How close is close enough says nothing of what the output was."""
    strict, lax = model(similarity=Similarity(0.999)), model(similarity=Similarity(0.9))

    assert expectation.baseline_key(strict, "/m") == expectation.baseline_key(lax, "/m")


def test_generated_text_has_no_similarity() -> None:
    """The check says why it can never hold."""
    result = replace(LOADED, vector=None, kind="generate")
    (check,) = expectation.checks(model(similarity=Similarity(0.9)), result, None)

    assert check.ok is False
    assert "generates text" in check.found


@pytest.mark.parametrize(
    ("vector", "found"), [((1.0,), "1 numbers instead of 2"), ((0.0, 0.0), "all zeros")], ids=["length", "zeros"]
)
def test_vectors_that_cannot_be_compared_do_not_hold(vector: tuple[float, ...], found: str) -> None:
    """Another size of the embedding, or a dead output, is a mismatch in words."""
    wanted = model(similarity=Similarity(0.9))
    baseline = Baseline(expectation.baseline_key(wanted, "/models/m"), (3.0, 4.0), 0.0)
    (check,) = expectation.checks(wanted, replace(LOADED, vector=vector), baseline)

    assert check.ok is False
    assert found in check.found


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And it holds only for the input that it answers."""
    file = str(tmp_path / "reference.json")
    write_reference(file, LOADED, "Hello")

    assert read_reference(file).vector == (3.0, 4.0)
    assert judged(similarity=Similarity(0.99, reference=file)) == {"similarity": True}
    write_reference(file, LOADED, "Bye")
    (check,) = expectation.checks(model(similarity=Similarity(0.99, reference=file)), LOADED, None)
    assert (check.ok, "'Bye'" in check.found) == (False, True)


@pytest.mark.parametrize(
    "content", [None, "", "[" * 100_000, '{"vector": []}', '{"vector": [1, "x"]}', '{"vector": [NaN]}',
                '{"vector": [1.0], "input": 7}']
)  # fmt: skip
def test_what_is_no_reference_is_a_mismatch_in_words(tmp_path: Path, content: str | None) -> None:
    """A missing, broken or hostile file never raises; the check names it and says how to write one."""
    file = tmp_path / "reference.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ReferenceFileError):
        read_reference(str(file))
    (check,) = expectation.checks(model(similarity=Similarity(0.99, reference=str(file))), LOADED, None)

    assert check.ok is False
    assert "--write-reference" in check.found


def test_the_baseline_survives_a_restart(tmp_path: Path) -> None:
    """It is kept in the ledger, apart from the standing that pages show."""
    baseline = Baseline("key", (1.0, 2.0), 5.0)
    ledger = Ledger.open(str(tmp_path))
    standings = Standings(ledger)
    standings.configure({"m"})
    standings.record(replace(LOADED, new_baseline=baseline))
    ledger.flush()
    ledger.close()

    reopened = Ledger.open(str(tmp_path))
    again = Standings(reopened)
    again.configure({"m"})
    reopened.close()

    assert again.baseline("m") == baseline
    standing = again.get("m")
    assert standing is not None
    assert "vector" not in json.dumps(standing.last)
