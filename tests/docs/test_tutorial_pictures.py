"""The pictures of tutorials: of the code of their pages, and there."""

import re

import pytest

from docs import tutorial_pictures
from docs.tutorial_pictures import GUIDE, SIZES, enlarged

# Of a file, in bytes.
LARGEST = 150_000


@pytest.mark.parametrize("name", SIZES)
def test_the_code_is_that_of_the_page_but_for_the_sizes(name):
    small, large = SIZES[name]
    program, text = enlarged(GUIDE / name), (GUIDE / name).read_text(encoding="utf-8")
    assert large in program and small not in program
    assert large in text  # the reader is told
    compile(program, name, "exec")


def test_a_page_with_other_sizes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(SIZES, "other.md", ("points = 4", "points = 8"))
    page = tmp_path / "other.md"
    page.write_text("```python\npoints = 5\n```\n")
    with pytest.raises(LookupError, match="must say 'points = 4' once"):
        enlarged(page)


@pytest.mark.parametrize("name", SIZES)
def test_the_pictures_that_are_shown_are_those_that_are_saved(name):
    text = (GUIDE / name).read_text(encoding="utf-8")
    shown = re.findall(r"!\[.+\]\((.+\.png)\)", text)
    assert shown and shown == re.findall(r'savefig\("(.+?)"', text)
    for one in shown:
        picture = (GUIDE / one).read_bytes()
        assert picture.startswith(b"\x89PNG\r\n") and len(picture) < LARGEST


def test_pictures_are_drawn_beside_the_pages(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text('```python\nsize = 1\n```\n\n```python\nopen("picture.png", "w").write(str(size))\n```\n')
    monkeypatch.setattr(tutorial_pictures, "GUIDE", tmp_path)
    monkeypatch.setattr(tutorial_pictures, "SIZES", {"page.md": ("size = 1", "size = 2")})
    tutorial_pictures.main()
    assert (tmp_path / "picture.png").read_text() == "2"
