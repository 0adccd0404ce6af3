"""What is to be seen of each service, as plain data: what it answers, beside what its journal says."""

from typing import Any

from model_load_exporter.web.context import Context


def services_view(context: Context) -> list[dict[str, Any]]:
    """One entry a probed service, those in trouble first. Seconds; up is None before the first probe."""
    with context.services.lock:
        rows: list[dict[str, Any]] = [
            {
                "target": target,
                "up": one.up,
                "cause": one.cause,
                "message": one.message,
                "seconds": one.seconds if one.up is not None else None,
                "model_loaded": one.model_loaded,
                "probes": one.probes,
                "failures": {cause: count for cause, count in one.failures.items() if count},
                "unresponsive_seconds": one.unresponsive,
            }
            for target, one in context.services.all().items()
        ]
    with context.loads.lock:
        for row in rows:
            row["loading"] = any(load.key[0] == row["target"] for load in context.loads.open.values())
            row["models"] = _models(context, row["target"])
    for row in rows:
        row["disagreement"] = disagreement(row)
    return sorted(rows, key=lambda row: (row["up"] is not False, not row["disagreement"], row["target"]))


def _models(context: Context, target: str) -> list[dict[str, Any]]:
    """The models of a service: how many of its processes hold each by the journal, and how many should."""
    loads = context.loads
    held: dict[str, set[str]] = {}
    for rows in loads.held.values():
        for one in rows:
            if one.key[0] == target:
                held.setdefault(one.key[1], set()).add(one.hold.id)
    required = {model: count for (service, model), count in loads.required.items() if service == target}
    return [
        {"model": model, "held": len(held.get(model, ())), "required": required.get(model)}
        for model in sorted({*held, *required})
    ]


def disagreement(row: dict[str, Any]) -> str:
    """Where the service's own word and its journal say different things: one line; '' where they agree.

    A load that is open explains a difference: one of the two is only ahead of the other.
    """
    told, models = row["model_loaded"], row["models"]
    if told is None or row["loading"]:
        return ""
    missing = [one for one in models if one["held"] < (one["required"] or 0)]
    held = [one for one in models if one["held"]]
    if told and not held:
        return (
            "It says that its model is loaded, but by the journal none of its processes holds one: is it "
            f"instrumented, with the target {row['target']}?"
        )
    if told and missing:
        short = ", ".join(f"{one['model']} by {one['held']} of {one['required']}" for one in missing)
        return f"It says that its model is loaded, but by the journal too few processes hold it: {short}."
    if not told and held and not missing:
        names = ", ".join(f"{one['model']} by {one['held']}" for one in held)
        return f"It says that no model is loaded, but by the journal its processes hold them all: {names}."
    return ""
