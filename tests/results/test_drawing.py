import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from results.drawing import TimeAxis, colour, figure, stage_style, style, svg


@pytest.mark.parametrize(
    ("end_h", "unit", "last"), [(24.0, "h", 24.0), (2.0, "min", 120.0), (0.05, "s", 180.0), (168.0, "h", 168.0)]
)
def test_the_time_axis_takes_the_unit_that_suits_the_run(end_h: float, unit: str, last: float) -> None:
    axis = TimeAxis(end_h)
    assert axis.label == f"time since start ({unit})"
    assert axis.of(end_h) == pytest.approx(last)
    with style():
        _, axes = figure(2, 1, 1.0, sharex=True)
        axis.apply(axes)
    assert [ax.get_xlabel() for ax in axes[:, 0]] == ["", axis.label]
    ticks = axes[1, 0].get_xticks()
    assert ticks[0] == 0
    assert 3 <= len(ticks) <= 8
    assert ticks[-1] <= last


def test_a_figure_becomes_svg_without_addresses_and_with_escaped_texts() -> None:
    with style():
        fig, axes = figure(1, 1, 1.0)
        axes[0, 0].set_title("<script>x</script> $a_b$ & co")
        axes[0, 0].plot([0, 1], [0, 1])
        text = svg(fig, 'a "title" <b>')
    assert text.startswith("<svg")
    assert "http" not in text
    assert "<script" not in text
    assert "$a_b$" in text  # no mathematics from a name with dollars
    root = ET.fromstring(text)
    assert root.attrib["aria-label"] == 'a "title" <b>'


def test_same_figure_same_bytes() -> None:
    def draw() -> str:
        with style():
            fig, axes = figure(1, 2, 1.0)
            axes[0, 0].plot([0, 1], [0, 1], "x")
            return svg(fig, "t")

    assert draw() == draw()


def test_architectures_and_stages_are_told_apart() -> None:
    assert len({colour(a) for a in ("local", "centralized", "distributed")}) == 3
    assert colour("mine") == colour("mine")
    assert len({str(stage_style(s)) for s in (1, 2, 3, 4)}) == 4


def test_scales_have_the_numbers_and_lines_that_matplotlib_draws() -> None:
    def panel() -> Any:
        fig, axes = figure(1, 2, 1.0, sharey=True)
        for ax in axes[0]:
            ax.plot([0.0, 7.0], [-3.0, 12.0])
            ax.set_xlim(0.5, 7.0)
            ax.set_xlabel("hours")
        axes[0, 0].set_yticks([0.0, 10.0], ["none", "ten"])
        axes[0, 1].grid(axis="x", visible=False)
        return fig

    def texts(found: str) -> list[tuple[str, str, str]]:
        return sorted(re.findall(r'<text [^>]* x="([^"]+)" y="([^"]+)"[^>]*>([^<]*)</text>', found))

    with style():
        out, own = io.StringIO(), svg(panel(), "t")
        panel().savefig(out, format="svg")
        theirs = out.getvalue()
    assert texts(own) == texts(theirs)
    assert [text for *_, text in texts(own)].count("ten") == 1, "the right panel shares the scale of the left one"
    lines = [re.findall(r"M ([\d.]+) ([\d.]+) \s*L ([\d.]+) ([\d.]+)", found) for found in (own, theirs)]
    assert set(lines[0]) == set(lines[1])
    ticks = [set(re.findall(r'<use (?:xlink:)?href="#\w+" x="([^"]+)" y="([^"]+)"', found)) for found in (own, theirs)]
    assert ticks[0] == ticks[1] != set()
