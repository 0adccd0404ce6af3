"""The lines that scan gives: their numbers, texts, following lines, times and bounds, whatever they come in."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from model_load_exporter.analysis import blocks
from model_load_exporter.analysis.scan import FOLLOWING, TEXT, Line, SourceError, scan


class Wanted(NamedTuple):
    """A row of a table."""

    needle: str
    regex: str = ""


TABLE = (Wanted("out of memory"), Wanted("killed", r"^Killed$"), Wanted("no module named", r"named '\w+'$"))


@pytest.fixture(params=[1 << 18, 7], ids=["", "small-reads"])
def found(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Line]]:
    """Scans text, as a file read in large or small parts."""
    monkeypatch.setattr(blocks, "CHUNK", request.param)

    def run(text: str | bytes) -> list[Line]:
        path = tmp_path / "a.log"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return list(scan([str(path)], TABLE))

    return run


Found = Callable[[str | bytes], list[Line]]


def test_a_line_says_where_it_stands_and_what_follows(found: Found) -> None:
    """Numbers count from 1; following lines end with the file."""
    (line,) = found("one\nCUDA out of memory\nthree\nfour")
    assert (line.number, line.text, line.rows, tuple(line.following)) == (
        2,
        "CUDA out of memory",
        (0,),
        ("three", "four"),
    )
    assert line.source.endswith("a.log")


def test_no_more_than_the_next_lines_follow(found: Found) -> None:
    """Bounded in number and length."""
    (line,) = found("out of memory\n" + "".join(f"{n} {'x' * 90}\n" for n in range(40)))
    assert [text.split()[0] for text in line.following] == [str(n) for n in range(FOLLOWING)]
    assert line.following[1].startswith("1 ")
    assert line.following[-1].startswith("11 ")
    assert line.following[2:4] == (f"2 {'x' * 90}", f"3 {'x' * 90}")
    (line,) = found("out of memory\n" + "y" * 5000)
    assert line.following[0] == "y" * 2000 + "…"


def test_a_progress_bar_is_one_line_of_many_texts(found: Found) -> None:
    """What an expression says of a line's ends holds for each update; the number is that of `sed -n Np`."""
    (line,) = found("a\n" + "\r".join(f"{n}%" for n in range(999)) + "\rKilled\r99%\nlast\n")
    assert (line.number, line.text) == (2, "Killed")
    assert tuple(line.following) == ("last",)
    (line,) = found("out of memory\n1%\r50%\r100%\r\n")
    assert tuple(line.following) == ("100%",)


def test_colours_are_taken_off(found: Found) -> None:
    """Within a wording too, and within JSON."""
    (line,) = found("\x1b[1;31mout\x1b[0m of mem\x1b[38;5;9mory\x1b[0m\nx\x1b[0m\n")
    assert (line.text, tuple(line.following)) == ("out of memory", ("x",))
    (line,) = found(json.dumps({"log": "\x1b[1;31mout\x1b[0m of memory\n", "stream": "stderr"}) + "\n")
    assert line.text == "out of memory"


def test_windows_logs_are_read(found: Found) -> None:
    """UTF-16 with its mark, both ways round, UTF-8 with its mark, and CRLF."""
    for encoding in ("utf-16", "utf-8-sig", "utf-32"):
        (line,) = found("one\r\nKilled\r\nthrée\r\n".encode(encoding))
        assert (line.number, line.text, tuple(line.following)) == (2, "Killed", ("thrée",)), encoding
    (line,) = found(b"\xfe\xff" + "Killed\r\n".encode("utf-16-be"))
    assert line.text == "Killed"


def test_binary_garbage_and_invalid_text_are_survived(found: Found) -> None:
    """A file that was cut in use begins with NULs."""
    (line,) = found(b"\0" * 3000 + b"Killed\n" + bytes(range(256)) * 20 + b"\n\xff\xfe\xfa")
    assert (line.number, line.text) == (1, "Killed")
    (line,) = found(b"\xff out of memory \xc3\n")
    assert line.text == "� out of memory �"


@pytest.mark.parametrize("at", [0, 3000, 4090, 5000, 100_000])
def test_a_long_line_is_judged_in_pieces(found: Found, at: int) -> None:
    """A wording is found wherever a cut falls; a cut is no end of the line."""
    lines = found("x" * at + "out of memory" + "y" * 9000 + "\n")
    assert {line.number for line in lines} == {1}
    assert all("out of memory" in line.text and len(line.text) <= TEXT + 2 and "…" in line.text for line in lines)
    assert found("x" * (TEXT - 6) + "Killed" + "x" * 100) == []


@pytest.mark.parametrize("at", [blocks.LONGEST - 5, blocks.LONGEST - 5000, 2 * blocks.LONGEST + 3])
def test_a_line_longer_than_the_buffer_is_cut_without_loss(tmp_path: Path, at: int) -> None:
    """The wording across a cut is found, and the next line has the right number."""
    path = tmp_path / "a.log"
    path.write_bytes(b"a\n" + b"x" * at + b"out of memory" + b"x" * at + b"\nKilled\n")
    lines = list(scan([str(path)], TABLE))
    assert {line.number for line in lines[:-1]} == {2}
    assert (lines[-1].number, lines[-1].text) == (3, "Killed")
    assert all(line.following[-1] == "Killed" for line in lines[:-1])


def test_one_line_gives_a_bounded_number_of_texts(found: Found) -> None:
    """A megabyte of updates that all say the same is told often enough."""
    assert len(found("Killed\r" * 1000)) == 64


def test_wrapped_logs_are_unwrapped_and_keep_their_numbers(found: Found) -> None:
    """The journal's export, Docker's JSON, and parts of Kubernetes' lines put together."""
    (line,) = found(
        "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1767225600000000\nPRIORITY=6\nMESSAGE=Killed\n_PID=4\n\n"
        "__CURSOR=s=2\n__REALTIME_TIMESTAMP=1767225601000000\nMESSAGE=next\n\n"
    )
    assert (line.number, line.text, line.time) == (4, "Killed", "2026-01-01T00:00:00.000000+00:00")
    assert tuple(line.following) == ("next",)

    (line,) = found('{"log":"a\\n"}\n{"log":"Killed\\n","time":"2026-01-01T00:00:00Z"}\n{"log":"b\\n"}\n')
    assert (line.number, line.text, line.time) == (2, "Killed", "2026-01-01T00:00:00Z")
    assert tuple(line.following) == ("b",)

    stamp = "2026-01-01T00:00:00Z stdout"
    first, second = found(f"{stamp} F a\n{stamp} P out of \n{stamp} P mem\n{stamp} F ory\n{stamp} F Killed\n")
    assert (first.number, first.text) == (2, "out of memory")
    assert (second.number, second.text) == (5, "Killed")


def test_a_message_of_several_lines_is_several_texts_of_one_line(found: Found) -> None:
    """A JSON logger writes a traceback into one line."""
    said = {"level": "error", "message": "load failed", "exc_info": "Traceback\n  x\nError: No module named 'a'\nend"}
    (line,) = found(json.dumps(said) + "\nafter\n")
    assert (line.number, line.text, tuple(line.following)) == (1, "Error: No module named 'a'", ("end", "after"))


def test_what_stands_beside_a_message_is_seen_too(found: Found) -> None:
    """Where nothing in the message fits."""
    (line,) = found('{"message": "Back-off restarting", "reason": "out of memory"}\n')
    assert line.text.startswith("{")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_logs_are_known_by_their_first_bytes(found: Found, pack: Callable[[bytes], bytes]) -> None:
    """Several members one after the other, as logrotate and cat leave them."""
    (line,) = found(pack(b"one\nout of ") + pack(b"memory\nthree\n"))
    assert (line.number, tuple(line.following)) == (2, ("three",))
    (line,) = found(pack("out of memory".encode("utf-16")))
    assert line.text == "out of memory"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_log_that_ends_early_is_read_as_far_as_it_goes(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """Its problem is told once all else is read."""
    path, other = tmp_path / "a.gz", tmp_path / "b.log"
    path.write_bytes(pack(b"Killed\n") + pack(b"x" * 9000)[:-9])
    other.write_bytes(b"Killed\n")
    problems: list[SourceError] = []
    lines = list(scan([str(path), str(other)], TABLE, problem=problems.append))
    assert [Path(line.source).name for line in lines] == ["a.gz", "b.log"]
    assert len(problems) == 1
    assert "what stands before was read" in str(problems[0])
    with pytest.raises(SourceError, match="ends early"):
        list(scan([str(path), str(other)], TABLE))


def test_progress_is_told_in_bytes_of_the_files_as_they_lie(tmp_path: Path) -> None:
    """Of all sources, compressed ones by what was read of them."""
    plain, packed = tmp_path / "a.log", tmp_path / "b.gz"
    plain.write_bytes(b"x\n" * 500_000)
    packed.write_bytes(gzip.compress(b"y\n" * 500_000))
    total = plain.stat().st_size + packed.stat().st_size
    told: list[tuple[int, int | None]] = []
    list(scan([str(plain), str(packed)], TABLE, progress=lambda done, of: told.append((done, of))))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (total, total)
    assert len(told) > 3


def test_an_empty_file_has_no_lines(found: Found) -> None:
    """Nor does one of newlines."""
    assert found("") == []
    assert found("\n" * 100) == []
