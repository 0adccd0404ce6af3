"""Links between the pages lead somewhere."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from docs_pages import PAGES, ROOT, anchors, links

MARKDOWN = (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "compose" / "README.md", *sorted((ROOT / "alerts").rglob("*.md")))


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    """Each relative link names a file of this repository, and a heading that the file has."""
    broken = []
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if (
            parts.path.startswith("/")
            or not target.exists()
            or not target.is_relative_to(ROOT)
            or (parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target))
        ):
            broken.append(link)
    assert broken == []


def test_every_page_is_linked() -> None:
    """Each page of docs/ is linked from another page: nobody finds one that is not."""
    linked = {
        (page.parent / urlsplit(link).path).resolve() for page in PAGES for link in links(page) if urlsplit(link).path
    }
    assert [str(page.relative_to(ROOT)) for page in PAGES[1:] if page not in linked] == []
