"""/runbooks/ALERT: the runbooks that come with the package, as pages that a pager's link leads to."""

import re
from functools import lru_cache
from itertools import pairwise

from aiohttp import web

from model_load_exporter.bundle import bundle
from model_load_exporter.web.pages import render

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}\Z")


async def index(_request: web.Request) -> web.Response:
    """The list of runbooks."""
    return web.Response(text=render("runbooks.html", names=names()), content_type="text/html")


async def runbook(request: web.Request) -> web.Response:
    """One runbook; 404 names those that there are."""
    name = request.match_info["alert"]
    if not _NAME.match(name) or name not in names():
        return web.Response(status=404, text=f"no runbook {name}; there are: {', '.join(names())}\n")
    return web.Response(text=render("runbook.html", name=name, body=_body(name)), content_type="text/html")


def names() -> list[str]:
    """The alerts that have a runbook."""
    return sorted(path.stem for path in bundle("alerts/runbooks").glob("*.md") if _NAME.match(path.stem))


@lru_cache(maxsize=32)
def _body(name: str) -> str:
    """The runbook as HTML; each heading can be linked to: `### file_missing` is `#file_missing`."""
    # Here: see pages.py.
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = markdown.parse((bundle("alerts/runbooks") / f"{name}.md").read_text(encoding="utf-8"))
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", slug(inline.content))
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
