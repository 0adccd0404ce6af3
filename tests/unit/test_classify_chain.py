"""An exception's chain as data."""

import itertools
import json
from dataclasses import asdict

import pytest

from model_load_exporter.classify.chain import TEXT_LIMIT, Link, describe, links_from_json


def caught(*errors: BaseException) -> BaseException:
    """The last error, raised from the one before it, and so on."""
    for cause, error in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


def raise_while_handling(first: Exception, second: Exception, suppress: bool = False) -> None:
    try:
        raise first
    except type(first):
        if suppress:
            raise second from None
        raise second  # noqa: B904  # the missing `from` is what is tested


def types(error: BaseException) -> list[str]:
    return [link.type.removeprefix("builtins.") for link in describe(error)]


def test_causes_come_below_what_they_caused() -> None:
    """The outermost exception is first and the deepest cause last."""
    assert types(caught(FileNotFoundError(), OSError(), RuntimeError())) == [
        "RuntimeError",
        "OSError",
        "FileNotFoundError",
    ]


def test_a_context_is_walked_where_there_is_no_cause() -> None:
    """An exception raised while another was handled leads to that one."""
    with pytest.raises(RuntimeError) as outer:
        raise_while_handling(MemoryError(), RuntimeError("clean-up failed"))
    assert types(outer.value) == ["RuntimeError", "MemoryError"]


def test_a_suppressed_context_is_marked() -> None:
    """`from None` says that what went before matters little."""
    with pytest.raises(RuntimeError) as outer:
        raise_while_handling(KeyError(), RuntimeError("no such model"), suppress=True)
    assert isinstance(outer.value.__context__, KeyError)
    assert types(outer.value) == ["RuntimeError", "KeyError"]
    assert [link.relation for link in describe(outer.value)] == ["", "hidden"]


def test_the_weakest_step_of_the_way_is_told() -> None:
    """The cause of what was being handled was being handled; a member's cause is a cause."""
    with pytest.raises(RuntimeError) as outer:
        raise_while_handling(caught(OSError(), ValueError()), caught(KeyError(), RuntimeError()))
    assert [link.relation for link in describe(outer.value)] == ["", ""]
    outer.value.__cause__ = None
    outer.value.__suppress_context__ = False
    assert [link.relation for link in describe(outer.value)] == ["", "handled", "handled"]
    assert [link.relation for link in describe(ExceptionGroup("ranks", [outer.value]))] == [
        "",
        "",
        "handled",
        "handled",
    ]


def test_a_groups_members_are_walked_with_their_causes() -> None:
    """Members follow their group in order, each with what lies below it."""
    group = ExceptionGroup("ranks", [caught(OSError(), RuntimeError()), ExceptionGroup("more", [MemoryError()])])
    assert types(group) == ["ExceptionGroup", "RuntimeError", "OSError", "ExceptionGroup", "MemoryError"]


def test_a_cycle_ends() -> None:
    """Exceptions that cause each other are told once each."""
    first, second = ValueError("a"), TypeError("b")
    first.__cause__, second.__cause__ = second, first
    assert types(first) == ["ValueError", "TypeError"]


def test_of_a_long_chain_both_ends_are_kept() -> None:
    """The deepest cause of a hundred retries is still there, and so is the outermost."""
    links = describe(caught(MemoryError(), *(OSError(str(number)) for number in range(100)), RuntimeError("last")))
    assert len(links) == 32
    assert links[0].text == "last"
    assert links[-1].type == "builtins.MemoryError"


def test_an_os_error_brings_its_number_and_file() -> None:
    """errno, filename and the bases are those of the exception."""
    (link,) = describe(FileNotFoundError(2, "No such file or directory", "/models/a"))
    assert (link.errno, link.filename) == (2, "/models/a")
    assert link.bases[:3] == ("builtins.FileNotFoundError", "builtins.OSError", "builtins.Exception")


def test_a_file_named_in_bytes_is_text() -> None:
    """A path of bytes is decoded, whatever bytes they are."""
    (link,) = describe(OSError(2, "gone", b"/models/\xff"))
    assert link.filename == "/models/\udcff"


def test_an_import_error_brings_its_module() -> None:
    """The name that was not found is kept."""
    with pytest.raises(ImportError) as caught_error:
        __import__("a_package_nobody_has")
    assert describe(caught_error.value)[0].module == "a_package_nobody_has"


def test_a_long_message_keeps_head_and_tail() -> None:
    """A message of a megabyte becomes 2000 characters of its two ends."""
    (link,) = describe(RuntimeError("head " + "x" * 1_000_000 + " tail"))
    assert len(link.text) == TEXT_LIMIT
    assert link.text.startswith("head ")
    assert link.text.endswith(" tail")


class HostileError(OSError):
    """Raises from everything that it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    @property
    def errno(self) -> int:  # type: ignore[override]  # a foreign class may do this
        raise ValueError

    @property
    def filename(self) -> object:  # type: ignore[override]
        return object()


def test_a_hostile_exception_is_described_by_its_type() -> None:
    """An exception whose attributes and text raise is described all the same."""
    (link,) = describe(HostileError())
    assert link.type.endswith("HostileError")
    assert (link.text, link.errno, link.filename) == ("", None, None)


def test_a_chain_survives_json() -> None:
    """What one process describes another reads back unchanged."""
    links = describe(
        caught(FileNotFoundError(2, "gone", "/models/a"), ImportError("no", name="x"), RuntimeError("top"))
    )
    back = links_from_json(json.loads(json.dumps([asdict(link) for link in links])))
    assert back == links
    assert [link.relation for link in back] == [link.relation for link in links]


def test_a_relation_that_nobody_knows_is_a_cause() -> None:
    """A report of another version, or none of ours, says less."""
    (link,) = links_from_json([{"type": "a", "bases": ["a"], "text": "", "relation": ["handled"]}])
    assert link.relation == ""


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        "text",
        7,
        [None],
        [{}],
        [{"type": 1, "bases": [], "text": ""}],
        [{"type": "a", "bases": 3, "text": ""}],
    ],
)
def test_a_report_that_is_none_gives_no_links(data: object) -> None:
    """A foreign or broken report is nothing, not an error."""
    assert links_from_json(data) == ()


def test_a_reports_odd_values_are_dropped() -> None:
    """Keys of the wrong type are left out, a missing list of bases is the type alone, and length is bounded."""
    report = [{"type": "a.B", "bases": [], "text": "x" * 9000, "errno": True, "filename": 3, "module": []}] * 100
    links = links_from_json(report)
    assert len(links) == 32
    assert links[0] == Link("a.B", ("a.B",), links[0].text)
    assert len(links[0].text) == TEXT_LIMIT
