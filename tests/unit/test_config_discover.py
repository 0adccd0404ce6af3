"""Models by glob: what a pattern stands for, who wins, what is left out and told."""

import os
from pathlib import Path

import pytest

from model_load_exporter.config import Config, ConfigError, Limits, Model, Verify, config_from_text, warnings
from model_load_exporter.config.discover import expand, expanded, look, patterns

PATTERN = Model("", "/models/*", verify=Verify())


def config_of(*models: Model, limit: int = 200) -> Config:
    return Config(models=models, limits=Limits(limit))


def found(*names: str) -> dict[str, list[str]]:
    return {"/models/*": [f"/models/{name}" for name in names]}


def names(config: Config) -> list[str]:
    return [model.name for model in config.models]


def test_each_match_is_a_model() -> None:
    """It has the name of its folder, its own path, and the other keys of the entry."""
    expansion = expand(config_of(PATTERN), found("aya", "nllb"))
    assert expansion.config.models == (
        Model("aya", "/models/aya", verify=Verify()),
        Model("nllb", "/models/nllb", verify=Verify()),
    )
    assert expansion.found == {"/models/*": ("aya", "nllb")}
    assert expansion.notes == ()


def test_nothing_matches() -> None:
    """No match, no model; before the first look there are none either."""
    for matches in ({"/models/*": []}, {}):
        assert expand(config_of(PATTERN), matches).config == config_of()


def test_a_folder_of_the_hub_is_named_as_its_repo() -> None:
    """models--org--name is org/name, as loads from it are."""
    (model,) = expand(config_of(PATTERN), found("models--facebook--nllb-200")).config.models
    assert (model.name, model.path) == ("facebook/nllb-200", "/models/models--facebook--nllb-200")


def test_entries_with_a_name_win() -> None:
    """By name or by path, wherever they stand in the file, and without a word."""
    by_name = Model("aya", "/elsewhere/aya")
    by_path = Model("translator", "/models/nllb")
    expansion = expand(config_of(PATTERN, by_name, by_path), found("aya", "nllb", "t5"))
    assert names(expansion.config) == ["t5", "aya", "translator"]
    assert expansion.found == {"/models/*": ("t5",)}
    assert expansion.notes == ()


def test_earlier_patterns_win() -> None:
    """A special pattern stands before the general one."""
    special = Model("", "/models/nllb*", loader="torch")
    matches = {**found("aya", "nllb"), "/models/nllb*": ["/models/nllb"]}
    models = expand(config_of(special, PATTERN), matches).config.models
    assert [(model.name, model.loader) for model in models] == [("nllb", "torch"), ("aya", "transformers")]


def test_names_that_cannot_be_are_told() -> None:
    """Unprintable, reserved, or taken: left out, in one line a pattern."""
    matches = {"/models/*": ["/models/a\nb", "/models/other", "/a/same", "/b/same", "/models/\udcff"]}
    expansion = expand(config_of(PATTERN), matches)
    assert names(expansion.config) == ["same"]
    (note,) = expansion.notes
    assert note.startswith("/models/*: not taken: ")
    assert note.isprintable()
    for part in (
        "'/models/a\\nb'",
        "reserved",
        "/b/same: same is the name of /a/same already",
        "\\udcff",
    ):
        assert part in note


def test_many_that_cannot_be_are_counted() -> None:
    """A folder of odd things does not fill the log."""
    (note,) = expand(config_of(PATTERN), {"/models/*": [f"/models/{n}\n" for n in range(100)]}).notes
    assert note.endswith("; and 95 more")


def test_the_limit_holds() -> None:
    """Known models stay where there are more than the limit; those left out are counted."""
    expansion = expand(config_of(Model("own"), PATTERN, limit=3), found("a", "b", "c", "z"), keep={"z"})
    assert names(expansion.config) == ["own", "a", "z"]
    assert expansion.notes == ("/models/*: not taken: 2 more than limits.models (3) allows",)


def test_order_is_that_of_the_file() -> None:
    """Between models that cover a load equally, the first in the file wins: matches stand where their entry does."""
    first, last = Model("first", "/a"), Model("last", "/z")
    assert names(expand(config_of(first, PATTERN, last), found("m")).config) == ["first", "m", "last"]


def test_look(tmp_path: Path) -> None:
    """Folders and model files match; other files, hidden ones and lost+found do not."""
    for folder in ("nllb", "lost+found", ".cache"):
        (tmp_path / folder).mkdir()
    for file in ("reranker.safetensors", "README.md", "manifest.sha256"):
        (tmp_path / file).touch()
    (tmp_path / "link").symlink_to("nllb")
    pattern = f"{tmp_path}/*"
    assert look([pattern]) == {pattern: [f"{tmp_path}/{name}" for name in ("link", "nllb", "reranker.safetensors")]}
    assert look([f"{tmp_path}/none/*"]) == {f"{tmp_path}/none/*": []}


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """Nobody knows what matches there: that is not the same as nothing."""
    (tmp_path / "loop").symlink_to("loop")  # unreadable for root too, which a file mode is not
    assert look([f"{tmp_path}/loop/*", f"{tmp_path}/none/*"]) == {f"{tmp_path}/none/*": []}


def test_from_the_file_to_models(tmp_path: Path) -> None:
    """A relative glob is of the config file's folder, whatever characters that has in its own name."""
    folder = tmp_path / "[etc]"
    (folder / "models" / "aya").mkdir(parents=True)
    (folder / "x.onnx").touch()
    text = 'models: [{path: "./models/*", canary: {}}, {path: "./*.onnx"}]'
    config = config_from_text(text, str(folder / "c.yml"))
    assert len(patterns(config)) == 2
    assert [model.path for model in expanded(config).config.models] == [f"{folder}/models/aya", f"{folder}/x.onnx"]
    assert warnings(config) == ()
    os.rmdir(folder / "models" / "aya")
    assert [line.split(": ")[0] for line in warnings(config)] == ["models[0].path"]


@pytest.mark.parametrize(
    ("entry", "key", "says"),
    [
        ('name: a, path: "/models/*"', "name", "each match is a model"),
        ('path: "/models/*", match: ["x*"]', "match", "match is of one"),
        ('path: "/models/**"', "path", "write one * for each folder level"),
        ('path: "models/*"', "path", "is neither a path nor a repo id"),
        ('path: "/models/[a"', "path", "close it"),
        ('path: "~nobody-here/*"', "path", "without a home folder"),
    ],
)
def test_mistakes_with_globs(entry: str, key: str, says: str) -> None:
    """Each is told at its key, with what to do."""
    with pytest.raises(ConfigError) as error:
        config_from_text(f"models: [{{{entry}}}]", "c.yml")
    mine = [problem for problem in error.value.problems if problem.key == f"models[0].{key}"]
    assert says in mine[0].message
    assert "; " in mine[0].message


def test_services_may_name_what_a_glob_will_bring() -> None:
    """Beside a glob, a service's model that has no entry is no mistake."""
    config = config_from_text('models: [{path: "/m/*"}]\nservices: [{target: a, models: {nllb: 1}}]', "c.yml")
    assert config.services[0].models == {"nllb": 1}
