"""The gallery knows every equation, shows code that runs, and misses none in silence."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pytest
import torch

import kutta as kt

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("kutta_gallery", ROOT / "docs" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["kutta_gallery"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["kutta_gallery"]


def test_every_equation_has_an_entry(gallery):
    wanted = {"heat", "korteweg_de_vries", "navier_stokes3d", "poisson", "equation"}
    assert wanted <= gallery.entries().keys()
    assert not {"evolution", "steady"} & gallery.equations().keys()


def test_a_missing_entry_fails_the_build(gallery, monkeypatch):
    pytest.importorskip("mkdocs")
    from mkdocs.exceptions import PluginError

    @dataclass
    class GinzburgLandau(kt.pde.Evolution):
        pass

    GinzburgLandau.__module__ = "kutta.pde.equations.ginzburg_landau"
    monkeypatch.setattr(kt.pde, "GinzburgLandau", GinzburgLandau, raising=False)
    monkeypatch.setattr(kt.pde, "__all__", [*kt.pde.__all__, "GinzburgLandau"])
    with pytest.raises(PluginError, match="there is none named ginzburg_landau"):
        gallery.on_files([], None)


def test_a_section_holds_formula_caption_picture_and_code(gallery):
    text = gallery.section("burgers")
    assert text.startswith("## Burgers' equation\n\n[`Burgers`](api/pde.md#kutta.pde.Burgers): `u_t + (u^2 / 2)_x = nu")
    assert "gallery/burgers.png" in text and gallery.burgers.__doc__ in text
    page = SimpleNamespace(file=SimpleNamespace(src_uri="gallery.md"))
    whole = gallery.on_page_markdown((ROOT / "docs" / "gallery.md").read_text(), page=page)
    assert text in whole and gallery.MARKER not in whole
    other = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    assert gallery.on_page_markdown(gallery.MARKER, page=other) == gallery.MARKER


def test_headings_differ(gallery):
    headings = [gallery.heading(one) for one in gallery.equations().values()]
    assert len({title for title, _ in headings}) == len(headings)
    assert ("Equations in words", "`laplace(c**3 - c - laplace(c))`") in headings
    assert any(formulas.endswith("`, `v_t = Dv laplace(v) + u v^2 - (F + k) v`") for _, formulas in headings)


@pytest.mark.slow
def test_the_code_that_is_shown_runs_and_draws(gallery):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    for entry in gallery.entries().values():
        namespace = {"torch": torch, "kt": kt}
        exec(gallery.code(entry), namespace)
        assert bool(torch.isfinite(namespace["sol"].ys).all())
        pyplot.close("all")
