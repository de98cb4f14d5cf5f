"""The code samples of README.md and docs/ run: each page's ```python blocks, in order, in one namespace."""

from pathlib import Path

import pytest
import torch

from docs.tutorial_pictures import blocks
from kutta.solvers.engines.kernel.build import CompilerMissing

ROOT = Path(__file__).parents[2]
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if blocks(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_samples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    namespace = {"__name__": "__main__"}
    for line, source in blocks(page):
        # Empty lines before the sample make a traceback point into the page.
        try:
            exec(compile("\n" * (line - 1) + source, str(page), "exec"), namespace)
        except CompilerMissing as missing:
            pytest.skip(str(missing))


def test_readme_and_guide_have_samples():
    names = {page.name for page in PAGES}
    assert {"README.md", "getting-started.md"} <= names
