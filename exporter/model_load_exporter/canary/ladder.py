"""Incremental loading: which component of a load fails, told by loading them one more at a time.

A whole load stops at its first failure, so it cannot say whether the weights are good where the tokenizer is not. Here
each component is tried in a child of its own, with what it needs before it, and all that can be tried is.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from model_load_exporter.canary.result import CanaryResult

Try = Callable[[str, Sequence[str] | None], Awaitable[CanaryResult]]
"""Loads the component of that title with these stages only (None: all, as a service does); what came of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One component. stage: the child's stage that loads it. needs: the components without which it cannot be tried.

    title: what it is, for a person.
    """

    name: str
    stage: str
    title: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """What came of one step.

    status: ok, failed, skipped (its memory would not fit), not_reached (`why` has the component that it needs) or
    does_not_apply. result: of its child; None where none ran. seconds: of the component's own stage.
    """

    step: Step
    status: str
    result: CanaryResult | None = None
    why: str = ""

    @property
    def seconds(self) -> float | None:
        """Time in the component's own stage, without what came before it."""
        stages = self.result.stages if self.result is not None else ()
        return sum(stage.seconds for stage in stages if stage.name == self.step.stage) if stages else None

    def to_json(self) -> dict[str, Any]:
        """One entry of `components`."""
        result = self.result
        return {
            "name": self.step.name,
            "status": self.status,
            "why": self.why or None,
            "reason": result.reason if result else None,
            "stage": result.stage if result else None,
            "call": (result.call or None) if result else None,
            "file": result.file if result else None,
            "message": result.message if result else "",
            "seconds": self.seconds,
            "peak_memory": {
                "rss_bytes": result.peak_rss_bytes if result else None,
                "anonymous_bytes": result.peak_anonymous_bytes if result else None,
            },
        }


_LIBRARIES = Step("libraries", "other", "import of the libraries")
_STEPS = {
    "transformers": (
        _LIBRARIES,
        Step("config", "config", "configuration", ("libraries",)),
        Step("tokenizer", "tokenizer", "tokenizer", ("libraries",)),
        Step("weights", "weights", "model without pipeline", ("config",)),
        Step("pipeline", "pipeline", "pipeline", ("tokenizer", "weights")),
        Step("inference", "inference", "first inference", ("tokenizer", "weights")),
    ),
    "weights": (_LIBRARIES, Step("weights", "weights", "weights", ("libraries",))),
    "session": (
        _LIBRARIES,
        Step("weights", "weights", "model", ("libraries",)),
        Step("inference", "inference", "first inference", ("weights",)),
    ),
}
_KINDS = {"transformers": "transformers", "onnx": "session", "tflite": "session", "gguf": "session"}


def steps(loader: str) -> tuple[Step, ...]:
    """The components of a load by that loader, in their order."""
    return _STEPS[_KINDS.get(loader, "weights")]


async def climb(loader: str, attempt: Try) -> tuple[Component, ...]:
    """Tries every component that can be tried, and the whole load last where nothing stands against it."""
    found: dict[str, Component] = {}
    planned = steps(loader)
    for step in planned:
        why = _obstacle(step, found, loader)
        if why is not None:
            found[step.name] = why
            continue
        stages = _stages(step, planned, found)
        last = all(later.name in found or _unaskable(later, found, loader) for later in planned if later != step)
        whole = last and all(one.status in ("ok", "does_not_apply") for one in found.values())
        result = await attempt(step.title, None if whole else stages)
        status = {"loaded": "ok", "failed": "failed", "skipped": "skipped"}[result.outcome]
        found[step.name] = Component(step, status, result)
    return tuple(found.values())


def base_of(components: Sequence[Component]) -> CanaryResult:
    """The result that stands for the load as a whole: of the first component that fails, else of the last one."""
    ran = [one for one in components if one.result is not None]
    bad = next((one for one in ran if one.status != "ok"), ran[-1])
    assert bad.result is not None  # noqa: S101 - only such components are in `ran`
    return bad.result


def sentences(components: Sequence[Component]) -> Iterator[str]:
    """Which component fails, in which call and on which file; one line for each that fails."""
    for one in components:
        if one.status != "failed" or one.result is None:
            continue
        result = one.result
        call = f", in {result.call}" if result.call else ""
        file = f", reading {result.file}" if result.file else ""
        yield f"What fails: {one.step.title}{call}{file}: {result.reason}: {result.message}"


def _stages(step: Step, planned: Sequence[Step], found: dict[str, Component]) -> list[str]:
    """The step's own stage and those below it that are good; alone where it needs nothing but the libraries."""
    if step.needs in ((), ("libraries",)):
        return [step.stage]
    return [one.stage for one in planned if one == step or (one.name in found and found[one.name].status == "ok")]


def _obstacle(step: Step, found: dict[str, Component], loader: str) -> Component | None:
    if _unaskable(step, found, loader):
        return Component(step, "does_not_apply", why="the canary has no question for a model of this kind")
    missing = [name for name in step.needs if found[name].status != "ok"]
    if missing:
        return Component(step, "not_reached", why=f"needs {' and '.join(missing)}")
    return None


def _unaskable(step: Step, found: dict[str, Component], loader: str) -> bool:
    """A model that the canary cannot ask needs no tokenizer, and what comes after its weights cannot be tried."""
    config = found.get("config")
    if loader != "transformers" or config is None or config.status != "ok" or config.result is None:
        return False
    return config.result.kind is None and step.name in ("tokenizer", "pipeline", "inference")
