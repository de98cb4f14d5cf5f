import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import pytest

from kutta.demo import report

TABLES = (
    "parameters",
    "coverage",
    "hare-lynx-cost",
    "digits",
    "digits-distance",
    "surrogates-costs",
    "hard-constraints",
    "seams",
    "provenance",
)
VOID = {"meta", "link", "img", "source", "br", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced and collects attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def attributes(self, tag, name):
        return [attrs[name] for found, attrs in self.tags if found == tag and name in attrs]


@pytest.fixture(scope="module")
def text(content):
    return report.page(content)


@pytest.fixture(scope="module")
def parsed(text):
    return Page(text)


def test_the_page_is_well_formed(parsed):
    assert parsed.tags[0] == ("html", {"lang": "en"})
    identifiers = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    assert set(TABLES) <= set(identifiers)


def test_the_page_needs_nothing_else(text, parsed):
    sources = [
        uri
        for tag, name in (("img", "src"), ("source", "srcset"), ("link", "href"))
        for uri in parsed.attributes(tag, name)
    ]
    assert sources and all(uri.startswith("data:") for uri in sources)
    assert not {"script", "iframe", "object", "embed", "form"} & {tag for tag, _ in parsed.tags}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_the_page_adapts_to_small_screens_and_dark_mode(text, parsed):
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in parsed.tags
    assert "prefers-color-scheme: dark" in text


def test_every_picture_is_embedded_in_both_themes_with_a_description(content, parsed):
    pictures = [picture for section in content.sections for picture in section.pictures]
    assert len(pictures) == 18
    assert len({picture.name for picture in pictures}) == 18
    assert parsed.attributes("img", "src") == [report.data_uri(picture.light) for picture in pictures]
    assert parsed.attributes("source", "srcset") == [report.data_uri(picture.dark) for picture in pictures]
    assert all(parsed.attributes("img", "alt"))
    for picture in pictures:
        assert picture.light != picture.dark
        assert ElementTree.fromstring(picture.light).tag.endswith("svg")
        assert picture.png.startswith(b"\x89PNG\r\n")


def test_the_tables_show_the_figures(content, hares, images, text):
    assert f"{float(hares.fit.values[0]):.3f}" in text
    assert all(
        len(row) == len(table.header) for section in content.sections for table in section.tables for row in table.rows
    )


def test_the_comparison_shows_the_figures_of_both_models(images, text):
    table = report.digits_table(images)
    assert table.header == ("quantity", "plain", "penalised")
    rows = {name: figures for name, *figures in table.rows}
    for column, model in enumerate(images.models):
        outcome, history = model.outcome, model.history
        assert rows["function evaluations, 360 images"][column] == str(outcome.function_evaluations)
        assert rows["time of that prediction"][column] == report.seconds(outcome.seconds)
        assert rows["test accuracy"][column].startswith(f"{outcome.accuracy:.1%} ({int(outcome.right.sum())} of 360")
        assert rows["training time"][column] == report.seconds(history.seconds)
        assert rows["function evaluations in training"][column] == f"{model.function_evaluations:,}"
    assert all(f"<td>{figure}</td>" in text for figures in rows.values() for figure in figures)


def test_the_words_and_tiles_show_the_figures_of_both_models(content, images, text):
    plain, penalised = (model.outcome for model in images.models)
    assert f"λ = {images.settings.coefficient:g}" in text
    assert f"the plain model takes {plain.function_evaluations} function evaluations" in text
    assert f"the penalised one {penalised.function_evaluations} and" in text
    values = [tile["value"] for tile in content.tiles]
    assert f"{plain.function_evaluations} → {penalised.function_evaluations}" in values


def test_text_is_escaped(content):
    hostile = replace(content, tiles=[{"value": "<b>1 & 2</b>", "label": "x"}])
    assert "&lt;b&gt;1 &amp; 2&lt;/b&gt;" in report.page(hostile)


def test_a_missing_value_is_an_error_and_not_a_blank(content):
    with pytest.raises(jinja2.UndefinedError):
        report.page(replace(content, tiles=[{"value": "1"}]))


def test_everything_is_written(content, tmp_path):
    path = report.write(content, tmp_path / "new" / "folder")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    names = {one.name for one in path.parent.iterdir()}
    assert {"report.html", "results.json", "hare_lynx_forecast.png", "digits_flow.png", "sampling_errors.png"} <= names
    assert not any(name.startswith(".") for name in names)
    results = json.loads((path.parent / "results.json").read_text())
    assert min(results["digits"][name]["test_accuracy"] for name in ("plain", "penalised")) > 0.85
    assert results["sampling"]["mixture"]["DDIM"]["evaluations"] == [5, 7, 10, 14, 20, 28, 40, 56]
    assert set(results["sampling"]["digits"]["UniPC"]) == {"4", "6", "10"}
    assert set(results["surrogates"]["networks"]) == {"FNO", "DeepONet"}
    assert {"SoftConstraint", "ConstrainedBasis", "JointExperts", "RKC2"} <= set(results["hard_constraints"])
    assert results["hare_lynx"]["estimates"]["alpha"] == pytest.approx(0.54, abs=0.02)


def test_the_page_is_written_last(content, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(report, "write_atomically", lambda path, data: written.append(path.name))
    report.write(content, tmp_path)
    assert written[-1] == "report.html"


@pytest.mark.parametrize("broken", ["replace", "write_bytes"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(broken, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(first, *rest, **more):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, broken, fail)
    with pytest.raises(OSError, match="no space"):
        report.write_atomically(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_page_writes_nothing(content, tmp_path):
    with pytest.raises(jinja2.UndefinedError):
        report.write(replace(content, tiles=[{}]), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_durations_read_well():
    assert [report.seconds(value) for value in (95.04, 1.0, 0.1234, 0.00912)] == [
        "95.0 s",
        "1.0 s",
        "123 ms",
        "9.12 ms",
    ]
