import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from results.compare import compare
from results.kpis.kpi import Kpi
from results.kpis.table import KPIS
from results.report import write_report
from results.runfile import Run
from sims.core.errors import GridseamError

PAIRINGS = (("local", 1), ("centralized", 3), ("distributed", 4))
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def runs(day_run: Callable[..., Path]) -> dict[tuple[str, int], Path]:
    return {(a, s): day_run(a, s) for a, s in PAIRINGS}


def test_the_page_holds_the_story_and_asks_nobody(runs: dict[tuple[str, int], Path], tmp_path: Path) -> None:
    path = write_report(compare(runs), runs, tmp_path / "out" / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.addresses
    assert all(a.startswith("#") for a in page.addresses)
    assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]|@import", text)
    assert all(u.startswith("#") for u in re.findall(r"url\(['\"]?([^)'\"]*)", text))
    said = " ".join(" ".join(page.text).split())
    for heading in ("Matrix of pairings", "Key figures", "Voltage", "Loading", "Exchange between TSO and DSO",
                    "Frequency and cells", "Responsibility", "Communication", "Definitions", "Scenario"):  # fmt: skip
        assert heading in said
    assert "2 of 3 pairings kept the system secure: centralized 3; distributed 4." in said
    assert "12:00 loss of 300 MW in cell 1; 10:00 fault on feeder south" in said
    assert page.tags.count("svg") >= 6
    for label in ("voltage (pu)", "loading (%)", "P to transmission (MW)", "f - f nominal (mHz)", "tie error (MW)"):
        assert label in said
    assert len(text) < 3_000_000


def test_names_from_a_scenario_stay_text(day_run: Callable[..., Path], tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    runs = {("centralized", 4): day_run("centralized", 4, name=evil)}
    mine = Kpi("mine", evil, evil, evil, evil + ".", evil, lambda run: 1.0, "lower")
    text = write_report(compare(runs, (*KPIS, mine)), runs, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 8
    Page(text)


def test_an_architecture_of_any_name_stays_text(make_run: Callable[..., Run], tmp_path: Path) -> None:
    with make_run({"bus": {"vm_pu": np.ones((4, 3))}}) as run:
        runs = {("<script>", 1): run.path}
    text = write_report(compare(runs), runs, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in text


def test_a_run_with_little_in_it_still_makes_a_page(make_run: Callable[..., Run], tmp_path: Path) -> None:
    with make_run({"bus": {"vm_pu": np.ones((4, 3))}}) as run:
        path = run.path
    runs = {("local", 1): path}
    said = " ".join(Page(write_report(compare(runs), runs, tmp_path / "r.html").read_text(encoding="utf-8")).text)
    for sentence in ("No loadings were recorded.", "No interfaces were recorded.", "No cells were recorded.",
                     "No acts were recorded.", "No messages were recorded."):  # fmt: skip
        assert sentence in said


def test_the_same_runs_give_the_same_page(day_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = {("local", 2): day_run("local", 2)}
    comparison = compare(runs)
    pages = [write_report(comparison, runs, tmp_path / f"{k}.html").read_bytes() for k in range(2)]
    assert pages[0] == pages[1]


def test_only_the_largest_interfaces_are_drawn_and_the_page_says_so(
    make_run: Callable[..., Run], tmp_path: Path
) -> None:
    p = np.tile(np.arange(1.0, 10.0), (4, 1))
    with make_run({"interface": {"p_mw": p, "q_mvar": p}}) as run:
        path = run.path
    runs = {("local", 1): path}
    text = write_report(compare(runs), runs, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "The 6 largest of 9 interfaces." in text
    assert "interface8" in text
    assert "interface2<" not in text


def test_nothing_to_report_and_nowhere_to_write(make_run: Callable[..., Run], tmp_path: Path) -> None:
    with make_run({"bus": {"vm_pu": [1.0]}}) as run:
        runs = {("local", 1): run.path}
    comparison = compare(runs)
    with pytest.raises(GridseamError, match="nothing to report"):
        write_report(comparison, {}, tmp_path / "r.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(GridseamError, match="cannot write the report"):
        write_report(comparison, runs, tmp_path / "file" / "r.html")
