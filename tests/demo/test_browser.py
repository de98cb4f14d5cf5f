import re
import shutil
import subprocess

import pytest

from kutta.demo import report
from tests.demo.test_report import TABLES

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
)
# Runs in a copy of the page; the report itself has no script.
PROBE = """
<script>
window.addEventListener("load", async () => {
  const images = [...document.images];
  const decoded = await Promise.allSettled(images.map((image) => image.decode()));
  const shown = images.filter((image) => image.complete && image.naturalWidth > 0 && image.clientWidth > 100);
  const body = document.body;
  body.dataset.images = images.length;
  body.dataset.shown = shown.length;
  body.dataset.failed = decoded.filter((one) => one.status === "rejected").length;
  body.dataset.fetched = performance.getEntriesByType("resource").filter((one) => !one.name.startsWith("data:")).length;
  body.dataset.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
});
</script>
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture(scope="module")
def page(content, tmp_path_factory):
    return report.write(content, tmp_path_factory.mktemp("report"))


def visit(browser, page, profile, *arguments):
    command = [browser, *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def probed(page, folder):
    copy = folder / "probed.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    return copy


@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_load_and_nothing_overflows_or_complains(browser, page, tmp_path, width, scheme):
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    visited = visit(
        browser, probed(page, tmp_path), tmp_path / "profile", "--dump-dom", f"--window-size={width},900", *dark
    )
    body = dict(re.findall(r'data-(\w+)="(-?\d+)"', visited.stdout))
    assert body == {"images": "18", "shown": "18", "failed": "0", "fetched": "0", "overflow": "0"}
    assert "CONSOLE" not in visited.stderr, visited.stderr


def test_the_tables_are_there(browser, page, tmp_path, hares, images):
    dom = visit(browser, page, tmp_path / "profile", "--dump-dom").stdout
    for identifier in TABLES:
        assert f'<table id="{identifier}">' in dom
    assert f"{float(hares.fit.values[0]):.3f}" in dom
    assert all(f"<td>{model.outcome.function_evaluations}</td>" in dom for model in images.models)


def test_a_screenshot_can_be_taken(browser, page, tmp_path):
    picture = tmp_path / "report.png"
    visit(browser, page, tmp_path / "profile", f"--screenshot={picture}", "--window-size=1200,9600")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    assert picture.stat().st_size > 100_000
