"""What a Keras model's configuration would run: read as JSON, in the .keras archive or an attribute of .h5.

Keras builds layers by the names of modules and classes, and a Lambda layer from marshalled Python code. Keras 3 refuses
such code unless told otherwise, but not in every version and not in .h5: it is told here as what it is.
"""

from typing import Any

from model_load_exporter.artifacts.bounded import Damaged, json_object, name_of, note

MAX_VALUES = 2_000_000
_OWN = ("keras", "tensorflow.keras", "tf_keras", "keras_hub", "keras_nlp", "keras_cv", "builtins")
_MARSHALLED = ("__lambda__",)
_GADGETS = frozenset({"get_file", "enable_unsafe_deserialization", "load_model", "save_model", "pip_install"})
"""Functions of Keras itself that reach out of the model: CVE-2025-8747 and its like."""

_RUNS = frozenset(
    {"os", "posix", "nt", "subprocess", "sys", "importlib", "runpy", "shutil", "socket", "pickle", "marshal", "ctypes",
     "pty", "multiprocessing", "webbrowser", "urllib", "http"}
)  # fmt: skip
"""Modules of Python that no layer is in: CVE-2025-1550 called their functions."""

_BUILTINS = frozenset(
    {"exec", "eval", "compile", "open", "__import__", "getattr", "setattr", "delattr", "input", "breakpoint", "print",
     "globals", "vars"}
)  # fmt: skip
"""Of builtins only these: Keras 2.13 notes a loss function of the user's own as one of builtins, too."""

_MAX_SHOWN = 8


def inspect(raw: bytes, what: str) -> dict[str, str]:
    """Notes on the configuration. Raises Damaged: config_invalid where it is no JSON, unsafe_pickle for code."""
    try:
        config = json_object(raw, what)
    except Damaged as error:  # as the loader's JSONDecodeError is judged, and as a config.json of its own is
        raise Damaged(str(error), "config_invalid") from None
    notes, custom, budget = dict[str, str](), dict[str, None](), MAX_VALUES
    inner = config.get("config")
    if isinstance(config.get("class_name"), str):
        notes["architecture"] = note(config["class_name"])
    if isinstance(inner, dict) and isinstance(inner.get("name"), str):
        notes["name"] = note(inner["name"])
    waiting: list[Any] = [config]
    while waiting:
        value = waiting.pop()
        budget -= 1
        if budget < 0:
            raise Damaged(f"has more than {MAX_VALUES} values in {what}")
        if isinstance(value, dict):
            _refuse_code(value, what)
            module = value.get("module")
            if "class_name" in value and (name := _custom(module, value)):
                custom[name] = None
            waiting.extend(item for item in value.values() if isinstance(item, dict | list))
        else:
            waiting.extend(item for item in value if isinstance(item, dict | list))
    if custom:
        names = list(custom)
        more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
        notes["note"] = f"needs code of its own: {', '.join(names[:_MAX_SHOWN])}{more}"
    return notes


def _refuse_code(value: dict[str, Any], what: str) -> None:
    kind, module, config = value.get("class_name"), value.get("module"), value.get("config")
    if kind in _MARSHALLED:
        raise Damaged(f"has marshalled Python code (a lambda) in {what}", "unsafe_pickle")
    if kind == "Lambda" and isinstance(config, dict) and isinstance(config.get("function"), list):
        raise Damaged(f"has marshalled Python code (a Lambda layer) in {what}", "unsafe_pickle")
    if not isinstance(module, str):
        return
    function = config if isinstance(config, str) else kind
    if module.partition(".")[0] in _RUNS or (module == "builtins" and function in _BUILTINS):
        raise Damaged(f"would call {name_of(f'{module}.{function}')}: {what} names it", "unsafe_pickle")
    if _is_own(module) and kind == "function" and function in _GADGETS:
        raise Damaged(f"would call {name_of(f'{module}.{function}')}: {what} names it", "unsafe_pickle")


def _custom(module: object, value: dict[str, Any]) -> str:
    """The name of a class that is not Keras's own, else empty: by its module, or as its user registered it."""
    if isinstance(module, str):
        return "" if _is_own(module) else f"{note(module)}.{note(str(value['class_name'])[:200])}"
    registered = value.get("registered_name") or value["class_name"]
    return note(registered) if isinstance(registered, str) and ">" in registered else ""


def _is_own(module: str) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in _OWN)
