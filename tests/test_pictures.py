"""The README's pictures are there, and hold nothing but what a reader shall see."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.pictures import DOCS, SCENES

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_readme_shows_every_picture() -> None:
    assert sorted(re.findall(r"!\[[^\]]+\]\(docs/([\w-]+)\.svg\)", README)) == sorted(SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_a_picture_is_only_a_picture(name: str) -> None:
    content = (DOCS / f"{name}.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(content)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "rect", "text"}
    links = content.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|127\.0\.0\.1|localhost|/tmp|/home|/root", links)
    assert len(content) < 60_000
