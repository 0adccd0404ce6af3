"""holds and unloaded: what a process says it has loaded, from the end of the load to the last of its objects."""

import gc
import os
from pathlib import Path

import pytest

from model_load_exporter import track_load, unloaded
from model_load_exporter.holding import Holding
from model_load_exporter.instrument import holder as holder_module
from model_load_exporter.instrument.holder import holder
from model_load_exporter.journal.reader import create_spool
from support.recording import attempts, holdings


class Model:
    """Stands for a loaded model: weakly referable, as a torch module is."""


def held(spool: Path) -> dict[str, str]:
    """model -> last part of its path, of all that this process says it holds now."""
    return {
        model: str(os.path.basename(hold.path or "")) for one in holdings(spool) if not one.exited
        for model, hold in one.held.items()
    }  # fmt: skip


def only(spool: Path) -> Holding:
    [holding] = holdings(spool)
    return holding


def test_a_loaded_model_is_held_until_it_is_unloaded(spool: Path) -> None:
    """From the end of the load on; one file for the process; by the name it was loaded under."""
    with track_load("nllb", path="/models/nllb", target="app") as load:
        load.holds(object())
        assert holdings(spool) == []
    hold = only(spool).held["nllb"]
    assert (hold.pid, hold.target, hold.path, hold.boot_id != "") == (os.getpid(), "app", "/models/nllb", True)
    with track_load("aya"):
        pass
    assert set(only(spool).held) == {"nllb", "aya"}
    unloaded("nobody's")
    unloaded("nllb")
    unloaded("nllb")
    assert set(only(spool).held) == {"aya"}


def test_a_failed_load_holds_nothing(spool: Path) -> None:
    """Nor does a cancelled one; what an earlier load of it holds stays."""
    with pytest.raises(ValueError, match="x"), track_load("nllb"):
        raise ValueError("x")
    assert holdings(spool) == []
    with track_load("nllb"):
        pass
    with pytest.raises(KeyboardInterrupt), track_load("nllb"):
        raise KeyboardInterrupt
    assert set(only(spool).held) == {"nllb"}


def test_a_model_is_let_go_with_the_last_of_its_objects(spool: Path) -> None:
    """Not while one of them lives; a cycle counts once it is collected."""
    tokenizer, model = Model(), Model()
    model.itself = model  # type: ignore[attr-defined]  # a cycle, as modules have
    with track_load("nllb") as load:
        assert load.holds(tokenizer) is tokenizer
        assert load.holds(model) is model
    del tokenizer
    assert set(only(spool).held) == {"nllb"}
    del model
    gc.collect()
    assert only(spool).held == {}


def test_an_object_that_takes_no_weak_reference_is_held(spool: Path) -> None:
    """A dict, a tuple, a number: until `unloaded`, or the process's end."""
    with track_load("nllb") as load:
        things: list[object] = [{}, (1, 2), 3, None]
        for thing in things:
            assert load.holds(thing) is thing
    gc.collect()
    assert set(only(spool).held) == {"nllb"}


def test_what_is_gone_before_the_load_ends_is_not_held(spool: Path) -> None:
    """A load that throws its model away (a warm-up, a check) leaves nothing loaded."""
    with track_load("nllb") as load:
        load.holds(Model())
    assert [attempt.outcome for attempt in attempts(spool)] == ["loaded"]
    assert held(spool) == {}


def test_a_second_load_replaces_the_first(spool: Path) -> None:
    """The end of the first one's object does not let the second go."""
    first, second = Model(), Model()
    for model, path in ((first, "/models/v1"), (second, "/models/v2")):
        with track_load("nllb", path=path) as load:
            load.holds(model)
    assert held(spool) == {"nllb": "v2"}
    del first, model
    gc.collect()
    assert held(spool) == {"nllb": "v2"}
    del second
    gc.collect()
    assert held(spool) == {}


def test_a_nested_load_holds_for_the_outer_one(spool: Path) -> None:
    """A part of the model is the model's."""
    model = Model()
    with track_load("nllb", path="/m"), track_load("encoder", path="/m/encoder") as inner:
        inner.holds(model)
    assert set(only(spool).held) == {"nllb"}
    del model
    assert only(spool).held == {}


def test_memory_is_what_the_load_added(spool: Path) -> None:
    """Anonymous growth over the load, and the model's mapped files, each once."""
    import mmap

    weights = spool.parent / "weights.bin"
    weights.write_bytes(os.urandom(3 * 2**20))
    with track_load("nllb", path=str(weights)) as load:
        grown = load.holds(bytearray(os.urandom(32 * 2**20)))
        with weights.open("rb") as file:
            maps = [mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) for _ in range(2)]
    hold = only(spool).held["nllb"]
    assert 31 * 2**20 < hold.anonymous < 64 * 2**20
    [(identity, size)] = hold.mapped
    assert size == 3 * 2**20
    assert identity.endswith(f":{weights.stat().st_ino}")
    for one in maps:
        one.close()
    del grown


def test_the_file_goes_on_in_a_new_one(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 64 KiB (here less): the new file holds everything before the old one says where it went."""
    monkeypatch.setattr(holder_module, "ROTATE_AT", 2000)
    for number in range(40):
        with track_load(f"m{number % 4}"):
            pass
    files = holdings(spool)
    assert len(files) > 3
    assert [one.exited for one in files] == [True] * (len(files) - 1) + [False]
    assert [one.moved for one in files[:-1]] == [one.first.id for one in files[1:]]
    assert [one.first.replaces for one in files[1:]] == [one.first.id for one in files[:-1]]
    assert set(files[-1].held) == {"m0", "m1", "m2", "m3"}
    assert all((spool / f"{one.first.id}.jsonl").stat().st_size < 4000 for one in files)


def test_a_rotation_that_fails_goes_on_in_the_old_file(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool is gone for new files: what is held is told as long as the old one takes it."""
    monkeypatch.setattr(holder_module, "ROTATE_AT", 100)
    with track_load("nllb"):
        pass
    settings = (spool / "spool.json").read_text()
    (spool / "spool.json").unlink()
    assert holder.hold("aya", {})
    assert set(only(spool).held) == {"nllb", "aya"}
    (spool / "spool.json").write_text(settings)
    assert holder.hold("later", {})
    assert set(holdings(spool)[-1].held) == {"nllb", "aya", "later"}


def test_a_spool_that_comes_later_learns_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spool: Path) -> None:
    """Models that were loaded before the daemon's first start are told with the next load."""
    late = tmp_path / "late"
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_SPOOL", str(late))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not holder.hold("nllb", {})
    create_spool(str(late))
    with track_load("aya"):
        pass
    assert set(only(late).held) == {"nllb", "aya"}


def test_the_end_in_good_order_is_told(spool: Path) -> None:
    """As at the interpreter's end: exit, and the file is closed."""
    with track_load("nllb"):
        pass
    holder.exit()
    holder.exit()
    assert (only(spool).exited, only(spool).moved) == (True, None)
