"""Journal format 1, line by line: what is taken, and that nothing hostile does more than be refused."""

import json
import random
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from model_load_exporter.attempt import Begin, End, StageBegin, StageEnd
from model_load_exporter.holding import Exit, Hold, Inference, Unhold
from model_load_exporter.journal.format import CAUSES, JournalError, decode
from model_load_exporter.journal.line import MAX_LINE

BEGIN: dict[str, Any] = {
    "event": "begin", "v": 1, "id": "a-1", "time": 1000.5, "model": "nllb", "kind": "service", "pid": 7, "boot_id": "b",
}  # fmt: skip
HOLD: dict[str, Any] = {"event": "hold", "v": 1, "id": "h-1", "time": 1000.5, "model": "nllb", "pid": 7, "boot_id": "b"}
END: dict[str, Any] = {"event": "end", "time": 1, "outcome": "loaded"}


def line(event: object, **keys: Any) -> bytes:
    return json.dumps({**event, **keys} if isinstance(event, dict) else event).encode()


@pytest.mark.parametrize(
    ("event", "taken"),
    [
        (BEGIN, Begin("a-1", 1000.5, "nllb", "service", 7, "b")),
        (
            BEGIN | {
                "target": "app", "path": "/m", "repo": "o/n", "group": "g", "rank": "3", "parent": "a-0",
                "pid_namespace": 4026531836, "monotonic": 5, "runtime": {"python": "3.11.2"},
            },
            Begin(
                "a-1", 1000.5, "nllb", "service", 7, "b", "app", "/m", "o/n", "g", "3", "a-0", 4026531836, 5.0,
                {"python": "3.11.2"},
            ),
        ),
        ({"event": "stage_begin", "time": 1, "stage": "weights"}, StageBegin(1.0, "weights")),
        (
            {"event": "stage_end", "time": 1, "stage": "weights", "rss": 5, "anonymous": 4, "failed": True},
            StageEnd(1.0, "weights", 5, 4, True),
        ),
        (END, End(1.0, "loaded")),
        (
            END | {"outcome": "failed", "reason": "killed", "message": "m", "peak_rss": 9, "peak_anonymous": 8},
            End(1.0, "failed", "killed", "m", 9, 8),
        ),
        (HOLD, Hold("h-1", 1000.5, "nllb", 7, "b")),
        (
            HOLD | {"replaces": "h-0", "anonymous": 5, "mapped": [["08:01:7", 9]], "gpu": [["0", 3]], "dtype": "bf16"},
            Hold(
                "h-1", 1000.5, "nllb", 7, "b", replaces="h-0", anonymous=5, mapped=(("08:01:7", 9),), gpu=(("0", 3),),
                dtype="bf16",
            ),
        ),
        ({"event": "unhold", "time": 1, "model": "nllb"}, Unhold(1.0, "nllb")),
        ({"event": "exit", "time": 1}, Exit(1.0)),
        ({"event": "exit", "time": 1, "moved": "h-2"}, Exit(1.0, "h-2")),
        (
            {"event": "inference", "time": 1, "model": "nllb", "count": 5},
            Inference(1.0, "nllb", 5, 0, 0.0, (*[0] * 13, 5)),
        ),
        (
            {
                "event": "inference", "time": 1, "model": "nllb", "count": 2, "failures": 1, "seconds": 0.5,
                "buckets": [1, 1, *[0] * 12],
            },
            Inference(1.0, "nllb", 2, 1, 0.5, (1, 1, *[0] * 12)),
        ),
        ({"event": "of-a-later-version"}, None),
    ],
)  # fmt: skip
def test_every_event_is_taken_as_documented(event: dict[str, Any], taken: object) -> None:
    """Each event of the format, with the fewest keys and with all; an unknown kind is passed over."""
    assert decode(line(event)) == taken
    assert decode(line(event, a_key_of_a_later_version=[1, {"x": 2}])) == taken, "unknown keys are ignored"


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (b"{", "bad_json"),
        (b"\xff\xfe{}", "bad_json"),
        (b"\x00\x00\x00", "bad_json"),
        (b"[]", "bad_json"),
        (b"null", "bad_json"),
        (b"3", "bad_json"),
        (b"[" * 4000, "bad_json"),
        (b'{"a":' * 800, "bad_json"),
        (b"9" * (MAX_LINE + 1), "oversized"),
        (b"{}", None),
        (line(BEGIN, v=2), "unknown_version"),
        (line(BEGIN, v="1"), "unknown_version"),
        (line(BEGIN, v=None), "unknown_version"),
        (line(BEGIN, v=[1]), "unknown_version"),
        (line({key: value for key, value in BEGIN.items() if key != "v"}), "unknown_version"),
        (line({key: value for key, value in HOLD.items() if key != "v"}), "unknown_version"),
        (line(END, v=2), "unknown_version"),
        (line({"event": 5}), "bad_event"),
        (line({"event": ["begin"]}), "bad_event"),
        *((line({key: value for key, value in BEGIN.items() if key != gone}), "bad_event")
          for gone in ("id", "time", "model", "kind", "pid")),
        *((line({key: value for key, value in HOLD.items() if key != gone}), "bad_event")
          for gone in ("id", "time", "model", "pid")),
        (line(BEGIN, id=""), "bad_event"),
        (line(BEGIN, id="../../etc/passwd"), "bad_event"),
        (line(BEGIN, id="a" * 65), "bad_event"),
        (line(BEGIN, id="a-1\n"), "bad_event"),
        (line(BEGIN, id="ä"), "bad_event"),
        (line(BEGIN, id=7), "bad_event"),
        (line(BEGIN, parent="a/b"), "bad_event"),
        (line(BEGIN, time="now"), "bad_event"),
        (line(BEGIN, time=True), "bad_event"),
        (line(BEGIN, time=-1), "bad_event"),
        (line(BEGIN, time=1e12), "bad_event"),
        (line(BEGIN, time=float("nan")), "bad_event"),
        (line(BEGIN, time=float("inf")), "bad_event"),
        (line(BEGIN).replace(b"1000.5", b"1e999"), "bad_event"),
        (line(BEGIN).replace(b"1000.5", b"9" * 3000), "bad_event"),
        (line(BEGIN, monotonic="x"), "bad_event"),
        (line(BEGIN, model=""), "bad_event"),
        (line(BEGIN, model=" \t "), "bad_event"),
        (line(BEGIN, model={"a": 1}), "bad_event"),
        (line(BEGIN, kind="drill"), "bad_event"),
        (line(BEGIN, pid="7"), "bad_event"),
        (line(BEGIN, pid=-1), "bad_event"),
        (line(BEGIN, pid=2**40), "bad_event"),
        (line(BEGIN, pid=7.0), "bad_event"),
        (line(BEGIN, pid_namespace=-4), "bad_event"),
        (line(BEGIN, target=["app"]), "bad_event"),
        (line({"event": "stage_begin", "time": 1}), "bad_event"),
        (line({"event": "stage_end", "time": 1, "stage": "weights", "rss": -1}), "bad_event"),
        (line({"event": "stage_end", "time": 1, "stage": "weights", "rss": 2**70}), "bad_event"),
        (line({"event": "stage_end", "time": 1, "stage": "weights", "rss": "5"}), "bad_event"),
        (line(END, outcome="exploded"), "bad_event"),
        (line(END, outcome=None), "bad_event"),
        (line(END, peak_rss=[]), "bad_event"),
        (line(HOLD, mapped="x"), "bad_event"),
        (line(HOLD, mapped=[["a"]]), "bad_event"),
        (line(HOLD, mapped=[["a", -5]]), "bad_event"),
        (line(HOLD, mapped=[["a", "b"]]), "bad_event"),
        (line(HOLD, replaces="a/b"), "bad_event"),
        (line({"event": "exit", "time": 1, "moved": 5}), "bad_event"),
        (line({"event": "unhold", "time": 1}), "bad_event"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_taken_has_a_cause(bad: bytes, cause: str | None) -> None:
    """Each is refused with a cause of the closed set and a message; nothing else is ever raised."""
    if cause is None:
        assert decode(bad) is None
        return
    with pytest.raises(JournalError) as caught:
        decode(bad)
    assert caught.value.cause == cause
    assert cause in CAUSES
    assert str(caught.value)


def test_text_is_cut_and_made_printable() -> None:
    """Names become labels: no control characters, no half characters, a bounded length."""
    begin = decode(line(BEGIN, model="nl\nlb\x1b[31m" + "x" * 900, target="a\tb", path="/m" * 900))
    assert isinstance(begin, Begin)
    assert begin.model.startswith("nl lb [31mxxx")
    assert len(begin.model) == 200
    assert begin.target == "a b"
    assert begin.path == "/m" * 900


def test_half_characters_are_replaced_everywhere() -> None:
    """JSON can say half of a surrogate pair, UTF-8 cannot: one in a label would end every scrape."""
    half = "x\ud800y"
    begin = decode(
        line(
            BEGIN, model=half, target=half, path=half, repo=half, group=half, rank=half, runtime={"pod": half, half: 1}
        )
    )
    hold = decode(line(HOLD, model=half, version=half, mapped=[[half, 1]], gpu=[[half, 1]], runtime={"pod": half}))
    end = decode(line(END, outcome="failed", reason=half, message=half))
    for event in (begin, hold, end):
        assert isinstance(event, (Begin, Hold, End))
        text = json.dumps(asdict(event), ensure_ascii=False)
        assert "x?y" in text
        text.encode()


def test_what_the_ledger_keeps_of_a_stranger_is_flat_and_finite() -> None:
    """`runtime` is a writer's own: text and numbers of one level, nothing nested, no infinity, nothing endless."""
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    begin = decode(
        line(BEGIN, runtime={"python": "3.12", "n": 3, "deep": deep, "inf": float("inf"), "long": "y" * 900, "t": None})
    )
    assert isinstance(begin, Begin)
    assert begin.runtime == {"python": "3.12", "n": 3, "long": "y" * 200}
    many = decode(line(BEGIN, runtime={f"k{number}": number for number in range(200)}))
    assert isinstance(many, Begin)
    assert len(many.runtime) <= 32
    hold = decode(line(HOLD, runtime={"pod": "p-1", "deep": deep}))
    assert isinstance(hold, Hold)
    assert hold.runtime == {"pod": "p-1"}
    assert decode(line(BEGIN, runtime=[1, 2])) == decode(line(BEGIN)), "no object at all"


def test_hostile_bytes_are_refused_and_never_crash() -> None:
    """50,000 mutated lines (bytes flipped, cut, doubled, values swapped): an event, None, or a JournalError."""
    rng = random.Random(20250)
    seeds = [
        line(BEGIN),
        line(HOLD, mapped=[["08:01:7", 9]]),
        line(END, peak_rss=5),
        line({"event": "exit", "time": 1}),
    ]
    odd = [
        b"null",
        b"-1",
        b"1e400",
        b"[]",
        b"{}",
        b'""',
        b"true",
        b'"\\ud800"',
        b"99999999999999999999",
        b"NaN",
        b"\x00",
    ]
    causes: Counter[str] = Counter()
    for _ in range(50_000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            action = rng.randrange(4)
            if action == 0:
                data[at] = rng.randrange(256)
            elif action == 1:
                del data[at : at + rng.randint(1, 8)]
            elif action == 2:
                data[at:at] = data[at : at + rng.randint(1, 30)]
            else:
                colon = data.find(b":", at)
                end = data.find(b",", colon)
                if 0 < colon < end:
                    data[colon + 1 : end] = rng.choice(odd)
            if not data:
                break
        try:
            decode(bytes(data))
        except JournalError as error:
            causes[error.cause] += 1
    assert set(causes) == {"bad_json", "bad_event", "unknown_version"}
    assert min(causes.values()) > 100, "the mutations reach every check"
