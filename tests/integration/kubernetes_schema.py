"""Kubernetes' own schema for the kinds that the manifests use: tests/fixtures/kubernetes/README.md."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_FILE = Path(__file__).parents[1] / "fixtures" / "kubernetes" / "definitions.json"


@cache
def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(_FILE.read_text())
    return definitions


def definition_of(api_version: str, kind: str) -> str | None:
    """The definition of a kind; None for a kind that is not Kubernetes' own."""
    group, _, version = api_version.rpartition("/")
    for name, schema in _definitions()["$defs"].items():
        for one in schema.get("x-kubernetes-group-version-kind", ()):
            if (one["group"], one["version"], one["kind"]) == (group, version, kind):
                return str(name)
    return None


def problems(document: Any, definition: str) -> list[str]:
    """What is wrong with a document, one line each; unknown keys are wrong."""
    schema = {"$ref": f"#/$defs/{definition}", **_definitions()}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)]
