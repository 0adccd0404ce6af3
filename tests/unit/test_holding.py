"""What one process holds: hold, unhold, exit, and what a hostile writer adds."""

from dataclasses import replace

from model_load_exporter.holding import MAX_HELD, Exit, Hold, Holding, Inference, Unhold

FIRST = Hold("h-1", 1000.0, "nllb", 7, "boot")


def test_a_model_is_held_until_it_is_let_go() -> None:
    """The first line holds its model; a second model joins; unhold takes one away."""
    holding = Holding(FIRST)
    holding.apply(replace(FIRST, model="aya"))
    assert set(holding.held) == {"nllb", "aya"}
    holding.apply(Unhold(1001.0, "nllb"))
    assert set(holding.held) == {"aya"}
    assert not holding.exited


def test_a_later_hold_replaces_the_earlier() -> None:
    """The process loaded the model again: one hold of it, the last."""
    holding = Holding(FIRST)
    holding.apply(replace(FIRST, time=2000.0, anonymous=5))
    assert holding.held["nllb"].anonymous == 5
    holding.apply(Unhold(2001.0, "nllb"))
    assert holding.held == {}


def test_exit_says_whether_the_file_goes_on_elsewhere() -> None:
    """`moved` names the next file of the same process."""
    ended = Holding(FIRST)
    ended.apply(Exit(1001.0))
    assert (ended.exited, ended.moved) == (True, None)
    rotated = Holding(FIRST)
    rotated.apply(Exit(1001.0, "h-2"))
    assert (rotated.exited, rotated.moved) == (True, "h-2")


def test_letting_go_what_is_not_held_is_nothing() -> None:
    """Unhold of another name, twice, or before anything: no change."""
    holding = Holding(FIRST)
    holding.apply(Unhold(1001.0, "aya"))
    holding.apply(Unhold(1001.0, "nllb"))
    holding.apply(Unhold(1001.0, "nllb"))
    assert holding.held == {}


def test_a_process_that_claims_thousands_of_models_is_cut_off() -> None:
    """Models beyond the limit are dropped; those that are held may still be replaced and let go."""
    holding = Holding(FIRST)
    for number in range(MAX_HELD * 2):
        holding.apply(replace(FIRST, model=f"m{number}"))
    assert len(holding.held) == MAX_HELD
    holding.apply(replace(FIRST, anonymous=9))
    assert holding.held["nllb"].anonymous == 9


def inferred(count: int, model: str = "nllb") -> Inference:
    return Inference(1001.0, model, count, 0, count * 0.1, (*[0] * 13, count))


def test_inferences_of_a_file_only_rise() -> None:
    """The last line says all there were; an earlier number that comes late takes nothing back."""
    holding = Holding(FIRST)
    holding.apply(inferred(3))
    holding.apply(inferred(2))
    assert holding.inferences["nllb"].count == 3


def test_a_model_that_is_not_held_does_not_serve() -> None:
    """A writer cannot fill the exporter with names by lines about models that it never held."""
    holding = Holding(FIRST)
    holding.apply(inferred(3, "aya"))
    assert holding.inferences == {}
