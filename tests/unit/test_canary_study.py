"""Which components are tried, which variants apply, and which one is recommended: the rules, without a load."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from model_load_exporter.canary import child, ladder, recommend, variants
from model_load_exporter.canary.result import CanaryResult, StageResult

GOOD = CanaryResult(
    "m", "/m", "abc", "loaded", 0.0, 3.0, peak_rss_bytes=1_000_000_000, peak_anonymous_bytes=800_000_000,
    vector=(1.0, 0.0), dtype="float32", kind="embed", versions=(("torch", "2.13.0+cpu"), ("transformers", "5.23.0")),
)  # fmt: skip
BAD = replace(GOOD, outcome="failed", reason="config_invalid", stage="tokenizer", message="no", vector=None)
ALL = ["config", "tokenizer", "weights", "pipeline", "inference"]


class Loads:
    """Answers as a model does of which some stages fail; `asked` has the stages of each load."""

    def __init__(self, *bad: str, kind: str | None = "embed") -> None:
        self.asked: list[Sequence[str] | None] = []
        self._bad = bad
        self._kind = kind

    async def __call__(self, title: str, stages: Sequence[str] | None) -> CanaryResult:
        self.asked.append(stages)
        run = list(stages or ALL)
        fails = next((stage for stage in run if stage in self._bad), None)
        result = replace(GOOD, kind=self._kind, stages=tuple(StageResult(stage, 1.0, None) for stage in run))
        return replace(result, outcome="failed", reason="config_invalid", stage=fails) if fails else result

    def climb(self, loader: str) -> dict[str, str]:
        """Status by component."""
        self.found = asyncio.run(ladder.climb(loader, self))
        return {one.step.name: one.status for one in self.found}


def test_each_load_has_a_component_more() -> None:
    """The last one is the whole load, with nothing left out, so that it stands for the load as configured."""
    loads = Loads()

    assert set(loads.climb("transformers").values()) == {"ok"}
    assert loads.asked[:3] == [["other"], ["config"], ["tokenizer"]]
    assert loads.asked[3:] == [
        ["other", "config", "tokenizer", "weights"],
        ["other", "config", "tokenizer", "weights", "pipeline"],
        None,
    ]
    assert ladder.base_of(loads.found) is loads.found[-1].result


@pytest.mark.parametrize(
    ("bad", "statuses"),
    [
        (("other",), ["failed", "not_reached", "not_reached", "not_reached", "not_reached", "not_reached"]),
        (("config",), ["ok", "failed", "ok", "not_reached", "not_reached", "not_reached"]),
        (("tokenizer",), ["ok", "ok", "failed", "ok", "not_reached", "not_reached"]),
        (("weights",), ["ok", "ok", "ok", "failed", "not_reached", "not_reached"]),
        (("tokenizer", "weights"), ["ok", "ok", "failed", "failed", "not_reached", "not_reached"]),
        (("pipeline",), ["ok", "ok", "ok", "ok", "failed", "ok"]),
        (("inference",), ["ok", "ok", "ok", "ok", "ok", "failed"]),
    ],
)
def test_what_can_be_tried_is_tried(bad: tuple[str, ...], statuses: list[str]) -> None:
    """A component waits only for those that it needs; the first that fails stands for the load."""
    loads = Loads(*bad)

    assert list(loads.climb("transformers").values()) == statuses
    assert ladder.base_of(loads.found).stage == bad[0]
    assert len(list(ladder.sentences(loads.found))) == statuses.count("failed")


def test_a_model_that_cannot_be_asked_needs_no_tokenizer() -> None:
    """An image model has none, and that is no failure."""
    loads = Loads(kind=None)

    assert list(loads.climb("transformers").values()) == [
        "ok", "ok", "does_not_apply", "ok", "does_not_apply", "does_not_apply",
    ]  # fmt: skip
    assert loads.asked[-1] is None


@pytest.mark.parametrize("loader", [*child.SUPPORTED_LOADERS, "python:app:load"])
def test_every_loader_has_components(loader: str) -> None:
    """The libraries come first, and the weights are always among them."""
    names = [step.name for step in ladder.steps(loader)]

    assert names[0] == "libraries"
    assert "weights" in names


def test_variants_ask_for_options_that_the_child_knows() -> None:
    """A misspelt option would change nothing, and the table would call that a result."""
    asked = {option for variant in variants.TABLE for option in variant.options}

    assert asked <= set(child.OPTIONS)
    assert {loader for variant in variants.TABLE for loader in variant.loaders} <= set(child.SUPPORTED_LOADERS)


def test_the_docs_name_every_variant_and_component() -> None:
    """docs/PROBE.md has a row for each, with the names that the tables print."""
    text = (Path(__file__).parents[2] / "docs/PROBE.md").read_text()
    table = text[text.index("| variant | loaders |") : text.index("What is not done")]
    named = {name for line in table.splitlines()[2:] if line for name in line.split(" | ")[0].strip("| ").split(", ")}

    assert named == {name for variant in variants.TABLE for name in variant.name.split(", ")}
    assert all(f"| {step.title} |" in text for step in ladder.steps("transformers"))


def applying(base: CanaryResult, *files: str, loader: str = "transformers") -> set[str]:
    facts = variants.Facts(
        loader,
        base,
        frozenset("." + file.rpartition(".")[2] for file in files),
        frozenset(files),
        {name: variants._version(text) for name, text in base.versions},
    )
    return {one.name for one in variants.variants_for(loader) if variants.obstacle(one, facts) is None}


OLD = replace(GOOD, versions=(("torch", "2.2.0"), ("transformers", "4.40.1")))


@pytest.mark.parametrize(
    ("base", "files", "names"),
    [
        (GOOD, ["model.safetensors"], {"bfloat16", "float16", "int8, dynamic", "eager attention"}),
        (
            OLD, ["model.safetensors", "vocab.txt"],
            {"bfloat16", "float16", "int8, dynamic", "eager attention", "low memory", "slow tokenizer"},
        ),
        (
            GOOD, ["pytorch_model.bin"],
            {"safetensors, converted", "bfloat16", "float16", "int8, dynamic", "eager attention"},
        ),
        (
            replace(GOOD, dtype="bfloat16"), ["model.safetensors", "pytorch_model.bin"],
            {"safetensors", "pickle", "float16", "int8, dynamic", "eager attention"},
        ),
        (replace(BAD, reason="file_corrupted", stage="weights"), ["model.safetensors", "pytorch_model.bin"],
         {"safetensors", "pickle"}),
        (replace(BAD, reason="unsafe_pickle", stage="weights"), ["pytorch_model.bin"], set()),
        (replace(BAD, stage="config"), ["model.safetensors"], set()),
        (replace(BAD, stage="pipeline"), ["model.safetensors"],
         {"bfloat16", "float16", "int8, dynamic", "eager attention", "without pipeline"}),
        (replace(BAD, stage=None), ["model.safetensors"], set()),
    ],
    ids=["new", "old", "pickle", "both", "corrupted", "unsafe", "config", "pipeline", "no-start"],
)  # fmt: skip
def test_only_variants_that_may_change_something_apply(base: CanaryResult, files: list[str], names: set[str]) -> None:
    """Not the one that is in force, nor one that acts after the failure, nor a type where the file is damaged."""
    assert applying(base, *files) == names


def test_the_code_is_of_the_installed_version() -> None:
    """transformers called the type torch_dtype before 4.56."""
    (bfloat16,) = [one for one in variants.variants_for("transformers") if one.name == "bfloat16"]

    def change(base: CanaryResult) -> str:
        return variants.change_of(bfloat16, variants.facts_of("transformers", None, base))

    assert change(GOOD) == "from_pretrained(..., dtype=torch.bfloat16)"
    assert change(OLD) == "from_pretrained(..., torch_dtype=torch.bfloat16)"


def row(name: str, result: CanaryResult, same: bool | None = None) -> variants.Row:
    (variant,) = [one for one in variants.variants_for("transformers") if one.name == name]
    return variants.Row(variant, result, same_output=same)


def peak(rss: int, anonymous: int, outcome: str = "loaded") -> CanaryResult:
    return replace(GOOD, outcome=outcome, peak_rss_bytes=rss * 10**6, peak_anonymous_bytes=anonymous * 10**6)


def test_out_of_memory_the_least_anonymous_is_recommended() -> None:
    """Mapped pages can be dropped; what is anonymous is what an OOM killer counts."""
    rows = [
        row("bfloat16", peak(700, 500)),
        row("float16", peak(900, 300)),
        row("int8, dynamic", peak(100, 100, "failed")),
    ]
    found = recommend.recommend(replace(BAD, reason="cgroup_oom_killed", stage="weights"), rows, [])

    assert found.variant == "float16"
    assert found.change == "from_pretrained(..., dtype=torch.float16)"
    assert "300MB of it anonymous" in found.text


def test_of_another_failure_the_first_variant_that_loads_is_recommended() -> None:
    """The table stands in the order of how little each changes."""
    rows = [row("eager attention", peak(900, 800)), row("bfloat16", peak(500, 400))]

    assert recommend.recommend(BAD, rows, []).variant == "eager attention"


def test_where_nothing_loads_the_remedy_is_said() -> None:
    """And another interpreter is recommended where it loads under that one."""
    rows = [row("bfloat16", peak(1, 1, "failed"))]

    assert "Check config.json" in recommend.recommend(BAD, rows, []).text
    assert "under /b (torch 2.13.0+cpu" in recommend.recommend(BAD, rows, [("/a", BAD), ("/b", GOOD)]).text


def test_where_only_interpreters_were_tried_they_are_compared() -> None:
    """Nothing is said of variants; what loads there, at what peak, with which output."""
    slim = replace(GOOD, peak_rss_bytes=500_000_000)
    text = recommend.recommend(GOOD, [], [("/b", slim), ("/c", BAD), ("/d", replace(GOOD, vector=(0.0, 1.0)))]).text

    assert "Under /b it loads too, at a peak of 500MB instead of 1GB, the same output." in text
    assert "Under /c it does not load (config_invalid)." in text
    assert "Under /d it loads too, at a peak of 1GB instead of 1GB, another output." in text
    assert "no variant" not in text


@pytest.mark.parametrize(
    ("rss", "same", "variant"),
    [(800, True, "bfloat16"), (801, True, None), (500, False, None), (500, None, None)],
    ids=["saves", "saves-too-little", "differs", "not-compared"],
)
def test_a_good_load_changes_only_for_a_fifth_and_the_same_output(
    rss: int, same: bool | None, variant: str | None
) -> None:
    """Less memory for another answer is no recommendation."""
    found = recommend.recommend(GOOD, [row("bfloat16", peak(rss, 100), same)], [])

    assert found.variant == variant
    assert ("Keep it as it is" in found.text) == (variant is None)


def test_outputs_are_compared_by_what_there_is() -> None:
    """Numbers by their cosine, text letter by letter, bare weights by their checksum within one type."""
    text = replace(GOOD, vector=None, output="Bonjour")
    weights = replace(GOOD, vector=None, fingerprint="aa")

    assert recommend.compare(GOOD, replace(GOOD, vector=(1.0, 0.01)))[0] is True
    assert recommend.compare(GOOD, replace(GOOD, vector=(1.0, 1.0)))[0] is False
    assert recommend.compare(text, replace(text, output="Bonsoir")) == (False, None)
    assert recommend.compare(weights, weights) == (True, None)
    assert recommend.compare(weights, replace(weights, dtype="bfloat16", fingerprint="bb")) == (None, None)
    assert recommend.compare(BAD, GOOD) == (None, None)
