import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from results.runfile import Run
from results.runpage import _frequency, around_events, write_page
from sims.core.errors import GridseamError

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">&amp;"


class Reader(HTMLParser):
    """Collects what a page would run or load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self._open: dict[str, str | None] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on")]
        self.loads += [str(given[n]) for n in ("src", "href") if n in given and not str(given[n]).startswith("#")]
        if tag == "script":
            self._open = given

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.scripts.append((self._open, data))


def test_a_page_loads_nothing_and_runs_only_what_its_policy_names(day_run: Callable[..., Path], tmp_path: Path) -> None:
    page = write_page(day_run("centralized", 3), tmp_path / "p.html", back="../report.html").read_text()
    read = Reader(page)
    assert read.loads == ["../report.html"]
    assert read.handlers == []
    code = [text for given, text in read.scripts if given.get("type") != "application/json"]
    assert len(code) == 2
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1].replace("&#39;", "'")
    for text in code:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy[1]
    assert "http://www.w3.org" not in page.partition("<script")[0]


def test_it_tells_what_happened(day_run: Callable[..., Path], tmp_path: Path) -> None:
    page = write_page(day_run("centralized", 3), tmp_path / "p.html").read_text()
    for text in (
        "The system stayed secure.", "held by", "not yours to move", "feeder south is dark", "SAIDI",
        "loss of 300 MW in cell 1 after 12:00:00", "Frequency around events", "storage charged (MWh)",
    ):  # fmt: skip
        assert text in page, text
    other = write_page(day_run("local", 1), tmp_path / "q.html").read_text()
    assert "Not secure: outside voltage band" in other


def test_texts_of_a_run_cannot_become_code(day_run: Callable[..., Path], tmp_path: Path) -> None:
    page = write_page(day_run("centralized", 2, name=HOSTILE), tmp_path / "p.html").read_text()
    read = Reader(page)
    assert len(read.scripts) == 3
    assert read.handlers == []
    assert read.loads == []
    assert "<img" not in page
    data = json.loads(next(text for given, text in read.scripts if given.get("type") == "application/json"))
    assert data["feeders"][0]["name"] == f"{HOSTILE} north"


def test_a_run_without_grids_or_events_still_has_a_page(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run({"cell": {"f_hz": [50.0, 49.9]}})
    page = write_page(run, tmp_path / "p.html").read_text()
    assert "No buses of feeders were recorded." in page
    assert "<script" not in page
    assert around_events(run) is None


def test_what_cannot_be_written_or_read_is_named(day_run: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GridseamError, match="cannot write the page"):
        write_page(day_run("local", 1), tmp_path / "file" / "p.html")
    with pytest.raises(GridseamError, match="no such run file"):
        write_page(tmp_path / "none.h5")


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_without_a_network_draws_the_grid(day_run: Callable[..., Path], tmp_path: Path) -> None:
    page = write_page(day_run("centralized", 2, name=HOSTILE), tmp_path / "p.html")
    address = f"{page.as_uri()}#x@36300@line"
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
         f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=3000",
         "--dump-dom", address],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "summer day" in done.stdout
    assert "<title>taken" not in done.stdout
    assert re.search(r'id="clock">2026-06-21 10:05<', done.stdout)
    assert re.search(r'id="worst"[^>]*>lowest [01]\.\d{4} pu at .*; highest', done.stdout)
    assert "leaflet-canvas" in done.stdout or "<canvas" in done.stdout
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    assert console == [], console  # neither an error nor a request that the policy refused


def test_frequency_around_an_event_shows_what_moves_between_two_rows(make_run: Callable[..., Run]) -> None:
    kinds = {"cell": {"f_hz": [50.0, 49.9, 49.95]}, "cell_fine": {"f_hz": [49.7, 49.8]}}
    run = make_run(kinds, every_s=0.1)
    t_s, f_hz = _frequency(run)
    assert t_s == pytest.approx([0.0, 0.0, 0.1, 0.1, 0.2])
    assert f_hz[:, 0] == pytest.approx([50.0, 49.7, 49.9, 49.8, 49.95])
