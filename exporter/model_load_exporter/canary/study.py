"""`probe --stages` and `--variants`: one model loaded again and again, each time a component more or one thing changed.

Each load is a child of its own under the same sandbox as any canary load, one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model_load_exporter.canary import ladder, recommend, variants
from model_load_exporter.canary.convert import ConversionError, converted
from model_load_exporter.canary.recommend import Recommendation
from model_load_exporter.canary.result import CanaryResult
from model_load_exporter.canary.run import run_canary
from model_load_exporter.config.schema import Canary, Model

_ALL = ("other", "config", "tokenizer", "weights", "pipeline", "inference")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """All that was tried under one interpreter. python: its path; base: the load as configured."""

    python: str
    base: CanaryResult
    components: tuple[ladder.Component, ...] = ()
    rows: tuple[variants.Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """What came of all loads; the first interpreter's base is the answer, the others are compared with it."""

    interpreters: tuple[Interpreter, ...]
    recommendation: Recommendation | None

    @property
    def base(self) -> CanaryResult:
        """The load as configured, under the first interpreter."""
        return self.interpreters[0].base

    def to_json(self) -> dict[str, Any]:
        """The shape of `probe --json` for one load, and beside it what else was tried."""
        told = self.base.to_json()
        if any(one.components for one in self.interpreters):
            told["components"] = [
                {"python": one.python, **component.to_json()}
                for one in self.interpreters
                for component in one.components
            ]
        if self.recommendation is not None:
            told["variants"] = [
                {"python": one.python, **row.to_json()} for one in self.interpreters for row in one.rows
            ]
            told["recommendation"] = self.recommendation.to_json()
        told["interpreters"] = [
            {
                "python": one.python,
                "versions": dict(one.base.versions),
                "outcome": one.base.outcome,
                "reason": one.base.reason,
                "message": one.base.message,
                "duration_seconds": round(one.base.duration_seconds, 6),
                "peak_memory": {
                    "rss_bytes": one.base.peak_rss_bytes,
                    "anonymous_bytes": one.base.peak_anonymous_bytes,
                },
            }
            for one in self.interpreters
        ]
        return told


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try. pythons: the interpreters, at least one. say: told of each load before it runs."""

    model: Model
    pythons: Sequence[str]
    by_stages: bool
    by_variants: bool
    say: Callable[[str], None] = lambda text: None

    def most_loads(self) -> int:
        """How many loads there will be at most; a conversion is one too."""
        rows = variants.variants_for(self.model.loader) if self.by_variants else ()
        possible = sum(1 + variant.convert for variant in rows if variant.name not in ("CPU only", "offline"))
        first = len(ladder.steps(self.model.loader)) if self.by_stages else 1
        return len(self.pythons) * (first + possible)


async def study(plan: Plan) -> Study:
    """Runs all of it. A cancelled study leaves no process and no file behind."""
    found = [await _under(python, plan) for python in plan.pythons]
    advice = None
    if plan.by_variants or len(found) > 1:
        others = [(one.python, one.base) for one in found[1:]]
        advice = recommend.recommend(found[0].base, found[0].rows, others)
    return Study(tuple(found), advice)


async def _under(python: str, plan: Plan) -> Interpreter:
    canary = plan.model.canary or Canary()
    model = replace(plan.model, canary=replace(canary, python=python))
    under = f" under {python}" if len(plan.pythons) > 1 else ""
    # A checksum stands for the output where a loader has none.
    compared = plan.by_variants and model.loader in ("torch", "safetensors")

    async def attempt(title: str, stages: Sequence[str] | None) -> CanaryResult:
        plan.say(f"{title}{under}")
        return await run_canary(model, stages=stages, fingerprint=compared)

    components: tuple[ladder.Component, ...] = ()
    if plan.by_stages:
        components = await ladder.climb(model.loader, attempt)
        base = ladder.base_of(components)
        if not base.stages:
            # No child began: there is no model, or no interpreter. That is of no component, and the base says it.
            components = ()
    else:
        base = await attempt("as configured", None)
    rows: tuple[variants.Row, ...] = ()
    if plan.by_variants and base.outcome != "skipped":
        facts = variants.facts_of(model.loader, base.path, base)
        rows = tuple([await _row(one, facts, model, plan, under) for one in variants.variants_for(model.loader)])
    return Interpreter(python, base, components, rows)


async def _row(variant: variants.Variant, facts: variants.Facts, model: Model, plan: Plan, under: str) -> variants.Row:
    variant = replace(variant, change=variants.change_of(variant, facts))
    why = variants.obstacle(variant, facts)
    if why is not None:
        return variants.Row(variant, why=why)
    plan.say(f"{variant.name}{under}")
    try:
        result = await _load(variant, facts, model)
    except ConversionError as error:
        return variants.Row(variant, why=str(error))
    same, similarity = recommend.compare(facts.base, result)
    return variants.Row(variant, result, same_output=same, similarity=similarity)


async def _load(variant: variants.Variant, facts: variants.Facts, model: Model) -> CanaryResult:
    compared = model.loader in ("torch", "safetensors")
    stages = [stage for stage in _ALL if stage not in variant.without] if variant.without else None
    if variant.convert:
        async with converted(model, facts.base.path or "") as other:
            return await run_canary(other, fingerprint=compared)
    return await run_canary(
        model, stages=stages, options=variant.options, weights_share=variant.share, fingerprint=compared
    )
