"""YAML nodes to a Config: which key takes which value, and the checks between keys.

Everything mistaken is noted in the report; what is built then is not used, so a default stands for it.
"""

import glob
from functools import partial

import yaml

from model_load_exporter.config import values
from model_load_exporter.config.expectation import expect
from model_load_exporter.config.report import Report
from model_load_exporter.config.schema import (
    Canary,
    Config,
    Expect,
    Limits,
    Model,
    Service,
    Thresholds,
    Verify,
)
from model_load_exporter.config.section import Section
from model_load_exporter.units import format_duration, format_size, parse_duration, parse_size, shown

SHORTEST_INTERVAL = 1.0
SHORTEST_SERVICE_INTERVAL = 0.1
SMALLEST_MEMORY_LIMIT = 64 << 20
SLOWEST_RATE = 1_000_000
MOST_MODELS = 10_000
MOST_PROCESSES = 100_000


def build(root: yaml.Node, folder: str, report: Report) -> Config:
    """The config of a document; `folder` is what its relative paths start from."""
    top = Section(report, root, "", Config)
    limits = _limits(top.section("limits", Limits))
    sections = top.sections("models", Model)
    models = tuple(_model(section, folder) for section in sections)
    _refuse_repeats(sections, "name", [model.name for model in models])
    if len(models) > limits.models:
        top.wrong("models", f"{len(models)} models, but limits.models is {limits.models}; raise it or remove models")
    services = _services(top.sections("services", Service), [model.name for model in models])
    cache_paths = top.texts("cache_paths", partial(values.path, folder=folder))
    return Config(models, services, cache_paths, limits)


def _limits(section: Section | None) -> Limits:
    given = section.number("models", partial(values.count, least=1, most=MOST_MODELS)) if section else None
    return Limits() if given is None else Limits(models=given)


def _model(section: Section, folder: str) -> Model:
    name = section.text("name", values.model_name)
    globs: list[str] = []

    def parse_path(text: str) -> str:
        # Noted before it is parsed: for a glob with a mistake in it, the missing name is none.
        globs.extend([text] if glob.has_magic(text) else [])
        return values.model_path(text, folder)

    path = section.text("path", parse_path)
    if isinstance(path, values.PathPattern):
        for key, what in (("name", "each match is a model, named as its folder or file"), ("match", "match is of one")):
            if key in section:
                section.wrong(key, f"does not go with the glob {shown(path)}: {what}; remove {key}")
    elif "name" not in section and section.is_mapping and not globs:
        section.wrong("", "has no name; add name, the value of the label model")
    for key in ("canary", "verify"):
        if key in section and "path" not in section:
            section.wrong(key, "needs a path to work on; add path to this model")
    task = section.text("task", values.task)
    return Model(
        name=name or "",
        path=path,
        match=section.texts("match", partial(values.pattern, folder=folder)),
        loader=section.text("loader", partial(values.loader, folder=folder)) or Model("").loader,
        task=task,
        thresholds=_thresholds(section.section("thresholds", Thresholds)),
        canary=_canary(section.section("canary", Canary), task, folder),
        verify=_verify(section.section("verify", Verify), folder),
    )


def _thresholds(section: Section | None) -> Thresholds:
    default = Thresholds()
    if section is None:
        return default
    return Thresholds(
        load_seconds=section.number("load_seconds", _positive_duration) or default.load_seconds,
        memory_bytes=section.number("memory_bytes", _positive_size) or default.memory_bytes,
    )


def _canary(section: Section | None, task: str | None, folder: str) -> Canary | None:
    if section is None:
        return None
    default = Canary()
    interval = section.number("interval", partial(_duration, least=SHORTEST_INTERVAL))
    timeout = section.number("timeout", _positive_duration)
    if "interval" in section and interval is None:
        timeout = None  # mistaken: nothing to compare the timeout with
    interval = interval or default.interval
    if timeout is not None and timeout > interval:
        # Canaries run one at a time: one that hangs past its interval misses its own next run and holds up all others.
        most = format_duration(interval)
        section.wrong("timeout", f"{format_duration(timeout)} is longer than the interval; write at most {most}")
    return Canary(
        interval=interval,
        timeout=min(default.timeout, interval) if timeout is None else timeout,
        memory_limit=section.number("memory_limit", _memory_limit),
        python=section.text("python", partial(values.path, folder=folder)),
        input=section.text("input", values.model_input),
        expect=expect(section.section("expect", Expect), task, folder),
    )


def _verify(section: Section | None, folder: str) -> Verify | None:
    if section is None:
        return None
    default = Verify()
    level = section.text("level", values.level) or default.level
    for key in ("manifest", "checksum_interval", "rate"):
        if key in section and level == "header":
            section.wrong(key, f"does not go with level header, which reads no contents; remove {key}, or level")
    interval = section.number("interval", partial(_duration, least=SHORTEST_INTERVAL)) or default.interval
    full = section.number("checksum_interval", partial(_duration, least=SHORTEST_INTERVAL))
    return Verify(
        interval=interval,
        manifest=section.text("manifest", partial(values.manifest, folder=folder)),
        level=level,
        checksum_interval=full or default.checksum_interval,
        rate=section.number("rate", _rate) or default.rate,
        timeout=section.number("timeout", partial(_duration, least=SHORTEST_INTERVAL)) or default.timeout,
    )


def _services(sections: list[Section], model_names: list[str]) -> tuple[Service, ...]:
    services = tuple(_service(section, model_names) for section in sections)
    _refuse_repeats(sections, "target", [service.target for service in services])
    return services


def _service(section: Section, model_names: list[str]) -> Service:
    target = section.text("target", values.name)
    if "target" not in section and section.is_mapping:
        section.wrong("", "has no target; add target, the value of the label target")
    models = {}
    known = {name: None for name in model_names if name}
    all_known = len(known) == len(set(model_names))
    processes = partial(values.count, least=0, most=MOST_PROCESSES)
    for name, node, key, required in section.numbers_by_name("models", processes):
        # Beside a model whose own name is mistaken, "not configured" might be a false alarm.
        if name not in known and all_known:
            section.report.add(node, key, f"is no configured model; {section.report.suggestion(name, known)}")
        models[name] = required or 0
    return Service(
        target=target or "",
        url=section.text("url", values.url),
        model_url=section.text("model_url", values.url),
        interval=section.number("interval", partial(_duration, least=SHORTEST_SERVICE_INTERVAL))
        or Service("").interval,
        models=models,
    )


def _refuse_repeats(sections: list[Section], key: str, names: list[str]) -> None:
    first: dict[str, str] = {}
    for section, name in zip(sections, names, strict=True):
        if not name:
            continue
        if name in first:
            section.wrong(key, f"{shown(name)} is already the {key} of {first[name]}; give each its own")
        else:
            first[name] = section.key


def _duration(text: str, least: float) -> float:
    seconds = parse_duration(text)
    if seconds < least:
        raise ValueError(f"{shown(text)} is too short; write at least {format_duration(least)}")
    return seconds


def _positive_duration(text: str) -> float:
    return _duration(text, 0.001)


def _positive_size(text: str) -> int:
    if not (size := parse_size(text)):
        raise ValueError(f"{shown(text)} is no memory at all; write a size such as 6GB")
    return size


def _rate(text: str) -> int:
    size = parse_size(text)
    if size < SLOWEST_RATE:
        raise ValueError(f"{shown(text)} a second is too slow to end; write at least {format_size(SLOWEST_RATE)}")
    return size


def _memory_limit(text: str) -> int:
    size = parse_size(text)
    if size < SMALLEST_MEMORY_LIMIT:
        least = format_size(SMALLEST_MEMORY_LIMIT)
        raise ValueError(f"{shown(text)} is too little for a Python interpreter; write at least {least}")
    return size
