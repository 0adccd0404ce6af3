"""The documentation as data: pages, their code blocks, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


@dataclass(frozen=True)
class Block:
    """One block of code. info: the words after the fence's ```; empty for an indented block. line: counted from 1."""

    page: Path
    line: int
    info: str
    text: str

    @property
    def name(self) -> str:
        """Its place, as a test's name."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    """The page, parsed."""
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")))


def blocks() -> list[Block]:
    """Every block of code of every page."""
    return [
        Block(page, (token.map or [0])[0] + 1, token.info.strip(), token.content)
        for page in PAGES
        for token in tokens(page)
        if token.type in ("fence", "code_block")
    ]


def fenced(language: str, kind: str = "") -> list[Block]:
    """The fenced blocks of a language; kind: the second word of the fence."""
    return [block for block in blocks() if block.info.split() == [word for word in (language, kind) if word]]


def pythons() -> list[Block]:
    """Every Python block: fenced as such, or indented and beginning with an import."""
    return [
        block
        for block in blocks()
        if block.info == "python" or (not block.info and block.text.startswith(("from ", "import ")))
    ]


def links(page: Path) -> Iterator[str]:
    """The address of every link of a page."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])


def anchors(page: Path) -> set[str]:
    """What `#...` may name on a page: its headings, as GitHub writes them."""
    found: set[str] = set()
    for token, following in zip(tokens(page), tokens(page)[1:], strict=False):
        if token.type == "heading_open":
            anchor = re.sub(r"[^\w\- ]", "", following.content.lower()).replace(" ", "-")
            found.add(anchor)
    return found


def words(page: Path) -> str:
    """All of its text, code included."""
    return page.read_text(encoding="utf-8")
