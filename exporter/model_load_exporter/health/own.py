"""The State of this process, from what its loads and its holder keep."""

from __future__ import annotations

import time

from model_load_exporter.health.state import Failure, Held, Loading, State
from model_load_exporter.instrument import state
from model_load_exporter.instrument.holder import holder


def snapshot() -> State:
    """What is known now. From any thread."""
    loads = list(state.open_loads.copy().values())
    held = tuple(_held(model) for model in holder.models())
    busy = {load.model for load in loads} | {one.model for one in held}
    # Between two attempts nothing is open, and the last one failed; yet somebody is at it.
    waiting = {model: told for model, told in state.attempts.copy().items() if model not in busy}
    between = tuple(Loading(model, None, 0.0, told) for model, told in waiting.items())
    busy |= set(waiting)
    failed = state.failures.copy()
    failures = tuple(Failure(model, *told[:3]) for model, told in failed.items() if model not in busy)
    if held:
        witnessed = holder.witnessed
    elif loads:
        witnessed = any(load.witnessed for load in loads)
    else:
        witnessed = any(told[3] for told in failed.values())
    return State((*map(_loading, loads), *between), held, failures, witnessed)


def _loading(load: state.OpenLoad) -> Loading:
    stages = list(load.open_stages)
    elapsed = time.monotonic() - load.began
    return Loading(load.model, stages[-1] if stages else None, elapsed, state.attempts.get(load.model))


def _held(model: str) -> Held:
    details = holder.details(model)
    count, last = holder.served(model)
    return Held(
        model=model,
        kind=str(details.get("kind") or details.get("format") or ""),
        memory=int(details.get("anonymous") or 0) + sum(size for _, size in details.get("mapped") or ()),
        inferences=count,
        last_inference=last,
        fallback=state.fallbacks.get(model),
    )
