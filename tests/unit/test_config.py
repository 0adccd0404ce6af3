"""The config file: what is taken, every mistake with its line and key, and that docs, example and code agree."""

import dataclasses
import os
import pickle
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_load_exporter.canary.child import SUPPORTED_LOADERS
from model_load_exporter.config import (
    Canary,
    Config,
    ConfigError,
    Expect,
    Limits,
    Model,
    Problem,
    Service,
    Similarity,
    Thresholds,
    Verify,
    config_from_text,
    load_config,
    warnings,
)
from model_load_exporter.config.advice import CANARY_LOADERS
from model_load_exporter.config.document import MAX_BYTES
from model_load_exporter.config.schema import LOADERS
from model_load_exporter.config.values import TASKS
from model_load_exporter.units import parse_duration, parse_size

HERE = Path(__file__).resolve()
FIXTURES = HERE.parents[1] / "fixtures" / "config"
REPOSITORY = HERE.parents[2]
INVALID = sorted(FIXTURES.glob("invalid-*.yml"))
DESIGN = FIXTURES / "good-design.yml"


def problems_of(text: str, file: str = "c.yml") -> list[str]:
    with pytest.raises(ConfigError) as error:
        config_from_text(text, file)
    return [str(problem) for problem in error.value.problems]


# What is refused. Each fixture ends with the lines that it must be answered with, after "#= ".


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_invalid_file(file: Path) -> None:
    """Every mistake is told, in the order of the file, with line, key, what is wrong and what to do."""
    marked = [line for line in file.read_bytes().splitlines() if line.startswith(b"#= ")]
    expected = [f"{file}:{line.removeprefix(b'#= ').decode()}" for line in marked]
    with pytest.raises(ConfigError) as error:
        load_config(str(file))
    assert str(error.value).split("\n") == expected
    assert [str(problem) for problem in error.value.problems] == expected


def test_invalid_files_are_there() -> None:
    """The table of mistakes is not empty by a moved folder."""
    assert len(INVALID) >= 40


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_problem_is_one_line_that_says_what_to_do(file: Path) -> None:
    """A problem is a single printable line within 400 characters, and has its remedy after a semicolon."""
    with pytest.raises(ConfigError) as error:
        load_config(str(file))
    for problem in error.value.problems:
        assert problem.message.isprintable()
        assert len(problem.message) < 400
        if "did you mean" not in problem.message and "stands inside" not in problem.message:
            assert re.search(r"; \S", problem.message), problem.message
        assert problem.line > 0


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is one clear line."""
    with pytest.raises(ConfigError, match=r"/none\.yml: does not exist; check --config\.file\Z"):
        load_config(str(tmp_path / "none.yml"))


def test_folder(tmp_path: Path) -> None:
    """A folder in place of the file is one clear line."""
    with pytest.raises(ConfigError, match=r": is a folder; name the file in it\Z"):
        load_config(str(tmp_path))


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that the user may not read is one clear line, with the system's reason."""
    loop = tmp_path / "loop.yml"
    loop.symlink_to(loop)  # unreadable for root too, which a file mode is not
    with pytest.raises(ConfigError, match=r": cannot be read \(Too many levels of symbolic links\); let the exporter"):
        load_config(str(loop))
    with pytest.raises(ConfigError, match=r": cannot be read \(embedded null byte\)"):
        load_config("a\0b")


def test_huge_file(tmp_path: Path) -> None:
    """A file above 1 MiB is refused unread; so is a device that never ends."""
    huge = tmp_path / "huge.yml"
    huge.write_bytes(b"#" * (MAX_BYTES + 1))
    for file in (str(huge), "/dev/zero"):
        with pytest.raises(ConfigError, match=r": is larger than 1 MiB; is this the config file\?\Z"):
            load_config(file)
    with pytest.raises(ConfigError, match="is larger than 1 MiB"):
        config_from_text("#" * (MAX_BYTES + 1), "c.yml")


def test_utf16_file(tmp_path: Path) -> None:
    """UTF-16, which YAML allows and editors write, is refused by name of the encoding that is wanted."""
    file = tmp_path / "c.yml"
    file.write_text("models: []", encoding="utf-16")
    with pytest.raises(ConfigError, match=r"c\.yml:1: is not UTF-8 text \(byte 0xff\); save the file as UTF-8\Z"):
        load_config(str(file))


def test_error_keeps_its_problems_through_pickle() -> None:
    """A ConfigError can cross a process boundary."""
    error = ConfigError((Problem("c.yml", 2, "b", "x; y"), Problem("c.yml", 1, "a", "x; y")))
    assert str(pickle.loads(pickle.dumps(error))) == "c.yml:1: a: x; y\nc.yml:2: b: x; y" == str(error)


def test_mistaken_model_hides_nothing_else() -> None:
    """Beside a mistaken name, services that name it are not called wrong; their own mistakes still are."""
    text = "models: [{name: 1.0}]\nservices: [{target: a, models: {'1.0': 1, b: x}}]"
    assert problems_of(text) == [
        'c.yml:1: models[0].name: 1.0 is a number in YAML, not text; write "1.0" in quotes',
        'c.yml:2: services[0].models.b: "x" is no whole number from 0 to 100000; write one',
    ]


def test_mistaken_interval_says_nothing_of_the_timeout() -> None:
    """A timeout is not compared with an interval that could not be read."""
    text = "models: [{name: a, path: /a, canary: {interval: often, timeout: 1h}}]"
    assert [line.split(": ")[1] for line in problems_of(text)] == ["models[0].canary.interval"]


@pytest.mark.parametrize(
    "text", [f"models: [{{name: {name}}}]" for name in ("on", "No", "TRUE", "0x1f", "1_0", "1:30")]
)
def test_more_yaml_traps(text: str) -> None:
    """Whatever YAML 1.1 would silently turn into another value must be quoted."""
    (problem,) = problems_of(text)
    assert problem.endswith(" in quotes")


# What is taken.


def test_the_example_of_the_design() -> None:
    """The contract's own example parses to exactly these values."""
    home = os.path.expanduser("~")
    assert load_config(str(DESIGN)) == Config(
        models=(
            Model(
                name="nllb-200",
                path="/models/nllb-200",
                match=("facebook/nllb-*",),
                loader="transformers",
                task="translation",
                thresholds=Thresholds(load_seconds=300.0, memory_bytes=6_000_000_000),
                canary=Canary(
                    interval=900.0,
                    timeout=300.0,
                    memory_limit=8 << 30,
                    python="/app/venv/bin/python",
                    input="Hello",
                    expect=Expect(contains="..."),
                ),
                verify=Verify(interval=3600.0, manifest="manifest.sha256"),
            ),
        ),
        services=(
            Service(
                target="app-prod",
                url="http://127.0.0.1:8080/health",
                model_url="http://127.0.0.1:8080/model/health",
                interval=5.0,
                models={"nllb-200": 2},
            ),
        ),
        cache_paths=("/models", f"{home}/.cache/huggingface"),
        limits=Limits(models=200),
    )


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "--- ~", "{}", "models:\nservices:\ncache_paths:\n"]
)
def test_empty(text: str) -> None:
    """An empty file, or one with empty lists, is a valid empty config with the defaults."""
    assert config_from_text(text, "c.yml") == Config()
    assert Config().limits.models == 200


def test_good_files() -> None:
    """Comments, empty documents and merge keys are taken; of merged mappings the first wins, then the next."""
    for name in ("good-empty.yml", "good-comments-only.yml", "good-empty-lists.yml"):
        assert load_config(str(FIXTURES / name)) == Config()
    nllb, aya, bloom = load_config(str(FIXTURES / "good-merge.yml")).models
    assert nllb == Model(name="nllb", path="/models/nllb", canary=Canary(interval=300.0, timeout=60.0))
    assert aya == dataclasses.replace(nllb, name="aya", path="/models/aya")
    assert bloom.canary == Canary(interval=3600.0, timeout=60.0, input="Hello")


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    """A file from a Windows editor is read as it is meant."""
    file = tmp_path / "c.yml"
    file.write_bytes("\ufeffmodels:\r\n  - name: café\r\n    path: /m\r\n".encode())
    assert load_config(str(file)).models == (Model(name="café", path="/m"),)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/models/x/", "/models/x"),
        ("//models//x", "/models/x"),
        ("./x", "/etc/mle/x"),
        ("../x", "/etc/x"),
        (".", "/etc/mle"),
        ("..", "/etc"),
        ("~/x", "HOME/x"),
        ("~root/x", "/root/x"),
        ("~", "HOME"),
        ("./model.safetensors", "/etc/mle/model.safetensors"),
        ("org/name", "org/name"),
        ("gpt2", "gpt2"),
        ("org/name-v2.gguf", "org/name-v2.gguf"),
        ("01-ai/Yi-1.5", "01-ai/Yi-1.5"),
        ("/mit blank", "/mit blank"),
    ],
)
def test_path(path: str, taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading / ~ ./ or ../ makes a path, made absolute from the config file's folder; else it is a repo id."""
    monkeypatch.setenv("HOME", "/home/someone")
    (model,) = config_from_text(f'models: [{{name: a, path: "{path}"}}]', "/etc/mle/c.yml").models
    assert model.path == taken.replace("HOME", "/home/someone")


def test_relative_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name of the config file gives absolute paths too."""
    (tmp_path / "c.yml").write_text("models: [{name: a, path: ./m, verify: {manifest: ../sums}}]")
    monkeypatch.chdir(tmp_path)
    (model,) = load_config("c.yml").models
    assert (model.path, model.verify) == (f"{tmp_path}/m", Verify(manifest=f"{tmp_path.parent}/sums"))


def test_patterns_that_begin_like_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """They become absolute, and a folder's own brackets stay characters."""
    monkeypatch.setenv("HOME", "/home/[u]")
    text = 'models: [{name: a, match: ["./m/*", "~/m-?", "../[a-c]*", "*/x", "[]]", "[!]a]"]}]'
    (model,) = config_from_text(text, "/etc/mle/c.yml").models
    assert model.match == ("/etc/mle/m/*", "/home/[[]u]/m-?", "/etc/[a-c]*", "*/x", "[]]", "[!]a]")


def test_default_timeout_follows_a_short_interval() -> None:
    """Without a timeout, a canary may take as long as its interval, at most five minutes."""
    text = "models: [{name: a, path: /a, canary: {interval: 30s}}, {name: b, path: /b, canary: {}}]"
    first, second = config_from_text(text, "c.yml").models
    assert first.canary == Canary(interval=30.0, timeout=30.0)
    assert second.canary == Canary()


@pytest.mark.parametrize("loader", [*LOADERS, "python:my.module:load", "python:/x/load.py:load"])
def test_loader(loader: str) -> None:
    """Each named loader is taken, and a callable of a module or of a file."""
    (model,) = config_from_text(f'models: [{{name: a, path: /a, loader: "{loader}", canary: {{}}}}]', "c.yml").models
    assert model.loader == loader


def test_loader_beside_the_config_file() -> None:
    """A loader's file is found from the config file's folder."""
    (model,) = config_from_text('models: [{name: a, loader: "python:./load.py:load"}]', "/etc/mle/c.yml").models
    assert model.loader == "python:/etc/mle/load.py:load"


@pytest.mark.parametrize("task", ["translation", "translation_en_to_fr", "text-generation", "sentiment-analysis"])
def test_task(task: str) -> None:
    """Pipeline tasks, their aliases and language pairs are taken."""
    assert config_from_text(f"models: [{{name: a, task: {task}}}]", "c.yml").models[0].task == task


def test_config_cannot_be_changed_and_can_be_hashed() -> None:
    """A config in force is a value: reloads compare it, and nobody edits it."""
    config = load_config(str(DESIGN))
    assert hash(config) == hash(load_config(str(DESIGN)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.models[0].name = "x"  # type: ignore[misc]  # that it is refused is the test


# Warnings.


def test_warnings_of_the_design_example() -> None:
    """What this host lacks and what this version does not act on is said, one line each."""
    config = dataclasses.replace(load_config(str(DESIGN)), cache_paths=("/no/cache",))
    assert warnings(config) == (
        "models[0].path: /models/nllb-200 does not exist here",
        "models[0].canary.python: /app/venv/bin/python does not exist here",
        "cache_paths[0]: /no/cache does not exist here",
    )


def test_warnings_of_what_is_likely_not_meant(tmp_path: Path) -> None:
    """A valid file can still surprise: a file taken for a repo id, a catch-all, bytes for gigabytes, no output."""
    (tmp_path / "python").write_text("")
    text = """
    models:
      - {name: a, path: models/a.gguf, loader: gguf}
      - {name: b, match: ["**"], thresholds: {memory_bytes: 6}}
      - {name: c, path: ., loader: torch, canary: {python: ./python, expect: {contains: x}}}
      - {name: d, path: ., loader: onnx, canary: {input: x, expect: {contains: x}}}
      - {name: e, path: ., loader: gguf, canary: {expect: {similarity: 0.9, dtype: float16, quantization: Q4_K_M}}}
      - {name: f, path: ., canary: {expect: {similarity: {at_least: 0.9, reference: ./none.json}}}}
    """
    config = config_from_text(text, str(tmp_path / "c.yml"))
    assert warnings(config) == (
        "models[0].path: models/a.gguf is taken as a repo id of the hub; for a file write ./models/a.gguf",
        'models[1].match[0]: "**" counts every load of any other name as this model',
        "models[1].thresholds.memory_bytes: 6B is less than any model needs; is a unit missing?",
        f"models[2].canary.python: {tmp_path}/python is no program that this user may run",
        "models[2].canary.expect: loader torch gives no output, so no expectation of one is met",
        "models[3].canary.input: loader onnx gives the model no input; the key has no effect",
        "models[4].canary.expect.similarity: loader gguf tells no numbers to compare, so the expectation is never met",
        "models[4].canary.expect.dtype: loader gguf tells no dtype, so the expectation is never met",
        f"models[5].canary.expect.similarity.reference: {tmp_path}/none.json does not exist here",
    )


def test_warnings_know_what_the_canary_loads() -> None:
    """The loaders that pass without a warning are those of the canary's child, and python: ones."""
    assert set(CANARY_LOADERS) == {*SUPPORTED_LOADERS, "python"}


def test_no_warnings(tmp_path: Path) -> None:
    """A file whose every key takes effect here is silent."""
    text = f"models: [{{name: a, path: {tmp_path}, match: ['a-*'], canary: {{python: {sys.executable}}}}}]"
    assert warnings(config_from_text(text, "c.yml")) == ()


# Hostile and broken input.


def test_random_bytes(tmp_path: Path) -> None:
    """Damaged and random files end in a Config or a ConfigError, and in nothing else."""
    chance = random.Random(20)
    file = tmp_path / "c.yml"
    good = DESIGN.read_bytes()
    pieces = [b"\t", b"&a ", b"*a", b"<<: ", b"!!int ", b"---\n", b"? ", b"- ", b"{", b"]", b'"', b"\xff", b"|\n", b"%"]
    refused: list[ConfigError] = []
    for round_ in range(600):
        data = bytearray(good if round_ % 3 else chance.randbytes(chance.randrange(200)))
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randrange(9)] = chance.choice([*pieces, chance.randbytes(2), b""])
        file.write_bytes(data)
        try:
            assert isinstance(load_config(str(file)), Config)
        except ConfigError as error:
            refused.append(error)
    assert 300 < len(refused) < 600
    for refusal in refused:
        assert refusal.problems
        assert all(str(problem).isprintable() for problem in refusal.problems)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{" * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "models: " + "[[], " * 50_000,
        '"' + "\\" * 99_999,
        "%YAML " + "9" * 5000 + ".1\n---\nmodels: []",
        "models: [{name: " + "9" * 100_000 + "}]",
        "limits: {models: " + "9" * 100_000 + "}",
        "models: [{name: a, thresholds: {load_seconds: " + "9" * 100_000 + "}}]",
        "a" * 100_000 + ": 1",
        "&a " * 10_000 + "x",
        "a: &a [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1 if i else ''}]\n" for i in range(1000)),
        "models:\n- &a0 {name: a}\n" + "".join(f"- &a{i + 1} {{<<: *a{i}}}\n" for i in range(430)),
        "models: [" + "{name: a}, " * 20_000 + "]",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_text_costs_a_message(text: str) -> None:
    """Depth, width, aliases and giant numbers are refused in bounded time, never by a crash."""
    begin = time.process_time()
    assert problems_of(text)
    assert time.process_time() - begin < 20


def test_no_object_is_made_from_a_tag(tmp_path: Path) -> None:
    """A tag that would run code in a careless loader runs none."""
    proof = tmp_path / "ran"
    assert problems_of(f'models: [{{name: !!python/object/apply:os.mkdir ["{proof}"]}}]')
    assert not proof.exists()


def test_config_needs_neither_cattrs_nor_the_web() -> None:
    """Reading a config costs the daemon YAML and nothing else."""
    code = (
        "import sys, model_load_exporter.config; print(*{'cattrs', 'aiohttp', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("regex", ["[[a]", "(?i)bonjour|salut", r"^\S+$"])
def test_regex(regex: str) -> None:
    """Whatever Python compiles is taken as it stands, without a warning on the terminal."""
    text = f"models: [{{name: a, path: /a, canary: {{expect: {{regex: '{regex}'}}}}}}]"
    (model,) = config_from_text(text, "c.yml").models
    assert model.canary == Canary(expect=Expect(regex=regex))


# Docs, example and code agree.

SECTIONS: dict[str, type] = {
    "": Config,
    "models[].": Model,
    "models[].thresholds.": Thresholds,
    "models[].canary.": Canary,
    "models[].canary.expect.": Expect,
    "models[].canary.expect.similarity.": Similarity,
    "models[].verify.": Verify,
    "services[].": Service,
    "limits.": Limits,
}


def documented() -> dict[str, tuple[str, str]]:
    """Key to type and default, of every row of the tables of keys."""
    text = (REPOSITORY / "docs" / "CONFIGURE.md").read_text()
    keys = text[text.index("\n## Keys\n") : text.index("\n## Which model")]
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \|", keys, re.MULTILINE)
    assert len(rows) == len({key for key, _, _ in rows})
    return {key: (kind, default) for key, kind, default in rows}


def test_docs_have_every_key() -> None:
    """docs/CONFIGURE.md describes exactly the keys that the code takes."""
    known = {prefix + field.name for prefix, shape in SECTIONS.items() for field in dataclasses.fields(shape)}
    assert set(documented()) == known


def test_docs_have_the_defaults() -> None:
    """Each default that the docs give is the one in force."""
    rows = documented()
    parsers: dict[str, Any] = {
        "duration": parse_duration, "size": parse_size, "whole number": int, "loader": str, "level": str,
    }  # fmt: skip
    compared = 0
    for prefix, shape in SECTIONS.items():
        for field in dataclasses.fields(shape):
            kind, default = rows[prefix + field.name]
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                assert default == "required"
            elif default.startswith("`"):
                assert parsers[kind](default.strip("`")) == field.default
                compared += 1
            elif field.default_factory is dataclasses.MISSING:
                assert field.default is None or field.default == ()
                assert default in ("none", "empty", "no canary", "no verification", "the exporter's own")
    assert compared == 12


def test_docs_list_the_loaders_and_tasks() -> None:
    """The docs name every loader and every task."""
    text = (REPOSITORY / "docs" / "CONFIGURE.md").read_text()
    tasks = re.search(r"^## Tasks\n.*?```text\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert tasks is not None
    assert set(tasks[1].split()) == TASKS
    loaders = next(line for line in text.splitlines() if line.startswith("| `models[].loader`"))
    assert set(re.findall(r"`(\w+)`", loaders.split("how the canary loads it")[1])) == set(LOADERS)
    assert set(LOADERS) <= set(CANARY_LOADERS)


def test_docs_yaml_is_valid() -> None:
    """Every YAML block of the docs is a valid config."""
    blocks = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "CONFIGURE.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        assert config_from_text(block, "c.yml").models


def keys_of(node: yaml.Node, prefix: str = "") -> Iterator[str]:
    if isinstance(node, yaml.MappingNode) and prefix != "services[].models.":
        for key, value in node.value:
            yield prefix + key.value
            yield from keys_of(value, f"{prefix}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from keys_of(item, prefix.removesuffix(".") + "[].")


def test_the_example_is_valid_and_complete() -> None:
    """examples/config.yml is a valid file with every key in it, but for the alternatives to expect.contains."""
    file = REPOSITORY / "examples" / "config.yml"
    load_config(str(file))
    of_similarity = [f"similarity.{field.name}" for field in dataclasses.fields(Similarity)]
    alternatives = {f"models[].canary.expect.{kind}" for kind in ("equals", "regex", "similarity", *of_similarity)}
    root = yaml.compose(file.read_text())
    assert root is not None
    assert set(keys_of(root)) == set(documented()) - alternatives
