"""Every link from one page of the documentation to another leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.M | re.S)
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/*.md",
        "editors/*/*.md",
        "vscode-extension/*.md",
        "dg_lsp/**/*.md",
    )
    for page in ROOT.glob(pattern)
)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    found = _HEADING.findall(_CODE.sub("", page.read_text()))
    texts = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", one).lower() for one in found)
    return {re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link
