"""Loads: under which names things count, and which {target, model} have series: configured, in use, seen lately."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_load_exporter.config import Config, config_from_text
from model_load_exporter.identity import ModelIndex
from model_load_exporter.ledger import KEEP_SECONDS
from support.loads import World, holding


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], World]]:
    worlds: list[World] = []

    def made(config: str = "") -> World:
        worlds.append(World(tmp_path / "state", config_from_text(config, "/etc/config.yml")))
        return worlds[-1]

    yield made
    for world in worlds:
        world.ledger.close()


def test_configured_models_are_known_before_their_first_load(make: Callable[[str], World]) -> None:
    """With the target of each service that should hold them; and what covers a load gives it its name."""
    world = make(
        "models: [{name: nllb, path: /models/nllb}, {name: aya}]\n"
        "services: [{target: app, url: 'http://x/', models: {nllb: 2}}]"
    )
    assert world.loads.known() == [("", "aya"), ("app", "nllb")]
    assert world.loads.required == {("app", "nllb"): 2}
    world.load("a-1", "whatever it is called", path="/models/nllb/v2", target="app")
    assert world.tally("nllb", "app").attempts == 1


def test_names_beyond_the_limit_count_as_other(make: Callable[[str], World]) -> None:
    """A service that makes up a name each time costs a bounded number of series; known names keep theirs."""
    world = make("limits: {models: 3}\nmodels: [{name: nllb}]")
    for number in range(10):
        world.load(f"a-{number}", f"m{number}")
    assert {key[1] for key in world.loads.known()} == {"nllb", "m0", "m1", "other"}
    assert world.tally("other").attempts == 8
    world.load("again", "m1")
    world.load("configured", "nllb")
    assert (world.tally("m1").attempts, world.tally("nllb").attempts) == (2, 1)


def test_targets_beyond_the_limit_count_as_other(make: Callable[[str], World]) -> None:
    """Targets come from the environment of services: they are bounded too."""
    world = make("limits: {models: 3}")
    for number in range(50):
        world.load(f"a-{number}", "nllb", target=f"t{number}")
    assert len(world.loads.known()) <= 6
    assert world.tally("nllb", "other").attempts >= 44


def test_a_name_that_nobody_used_for_30_days_makes_room(make: Callable[[str], World]) -> None:
    """Its series end, its place under the limit is free; when it comes back, its counters go on."""
    world = make("limits: {models: 2}")
    world.load("a-1", "v1")
    world.load("a-2", "v2")
    world.load("a-3", "v3")
    assert world.loads.known() == [("", "other"), ("", "v1"), ("", "v2")]
    world.clock.pass_(KEEP_SECONDS + 1)
    assert world.loads.known() == []
    world.load("a-4", "v3")
    world.load("a-5", "v1")
    assert world.loads.known() == [("", "v1"), ("", "v3")]
    assert world.tally("v1").attempts == 2


def test_what_is_open_or_held_stays_known(make: Callable[[str], World]) -> None:
    """A load that hangs for months, and a process that holds a model as long."""
    world = make("")
    world.begin("a-1", "hangs")
    world.loads.hold(holding("h-1", "served"))
    world.clock.pass_(KEEP_SECONDS * 2)
    assert world.loads.known() == [("", "hangs"), ("", "served")]


def test_a_reload_that_drops_a_model_ends_its_series(make: Callable[[str], World]) -> None:
    """At once, unless it is held; its counters come back with it, and a restart does not bring it back."""
    world = make("models: [{name: nllb}, {name: aya}]")
    world.load("a-1", "nllb")
    world.load("a-2", "aya")
    world.loads.hold(holding("h-1", "aya"))
    world.config = Config()
    world.loads.apply_config(Config(), ModelIndex(Config()))
    assert world.loads.known() == [("", "aya")]
    world.loads.release(holding("h-1", "aya"))
    assert world.loads.known() == []
    world.restart()
    assert world.loads.known() == []
    world.load("a-3", "nllb")
    assert world.loads.known() == [("", "nllb")]
    assert world.tally().attempts == 2


def test_thresholds_are_the_models_own_or_the_defaults(make: Callable[[str], World]) -> None:
    """In force for every known model."""
    world = make("models: [{name: nllb, thresholds: {load_seconds: 300}}]")
    assert world.loads.thresholds(("", "nllb")).load_seconds == 300
    assert world.loads.thresholds(("", "unheard of")).load_seconds == 60
