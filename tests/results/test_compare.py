import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from results.compare import Comparison, best, compare, join, number, terminal_table, verdict
from results.cubefile import write_comparison
from results.kpis.kpi import Kpi
from results.kpis.table import KPIS
from results.report import write_report
from sims.core.errors import GridseamError


def made(values: Mapping[str, list[list[float]]], **kwargs: object) -> Comparison:
    kpis = tuple(k for k in KPIS if k.name in values)
    cube = {n: np.array(v, dtype=float)[:, :, None] for n, v in values.items()}
    return Comparison(("local", "centralized"), (1, 2), (0,), kpis, cube, **kwargs)  # type: ignore[arg-type]


def test_runs_become_a_cube_and_a_table(day_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = {(a, s): day_run(a, s) for a, s in (("distributed", 2), ("local", 1), ("centralized", 2))}
    comparison = compare(runs)
    assert comparison.architectures == ("local", "centralized", "distributed")
    assert comparison.pairings == [("local", 1), ("centralized", 2), ("distributed", 2)]
    assert comparison.value("saidi_min", ("local", 1)) == pytest.approx(1500 * 90 / 8000)
    assert np.isnan(comparison.value("saidi_min", ("local", 2)))
    files = write_comparison(comparison, tmp_path / "out")
    with xr.open_dataset(files.cube) as data:
        assert data.saidi_min.dims == ("architecture", "stage", "seed")
        assert float(data.saidi_min.sel(architecture="centralized", stage=2, seed=0)) == pytest.approx(1500 * 5 / 8000)
        assert data.saidi_min.attrs["units"] == "min"
    with files.table.open(newline="") as file:
        rows = {(r["architecture"], r["stage"], r["kpi"]): r["value"] for r in csv.DictReader(file)}
    assert float(rows["distributed", "2", "messages"]) == 9000
    assert rows["local", "2", "messages"] == ""
    assert comparison.dataset().identical(compare(runs).dataset())


def test_seeds_are_kept_apart_and_shown_as_their_mean(day_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = {("local", 1, seed): day_run("local", 1, seed=seed).rename(tmp_path / f"s{seed}.h5") for seed in (1, 2)}
    comparison = compare(runs)
    values = comparison.cube["voltage_highest_pu"][0, 0]
    assert values.shape == (2,)
    assert values[0] != values[1]
    assert comparison.value("voltage_highest_pu", ("local", 1)) == pytest.approx(values.mean())


def test_the_terminal_table_fits_and_shows_the_headlines(day_run: Callable[..., Path]) -> None:
    comparison = compare({(a, s): day_run(a, s) for a in ("local", "centralized", "distributed") for s in (1, 2, 3, 4)})
    out = io.StringIO()
    Console(file=out, width=160).print(terminal_table(comparison))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 150
    saidi = next(x for x in lines if "SAIDI" in x)
    assert saidi.replace("│", " ").split()[2:7] == ["16.9"] * 5
    assert not any("…" in x for x in lines)
    assert "9 of 12 pairings kept the system secure" in " ".join(lines)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "", "0"), (np.nan, "", "-"), (np.inf, "s", "never"), (12_345.6, "", "12\N{NARROW NO-BREAK SPACE}346"),
        (49.9123, "Hz", "49.912"), (3.14159, "MWh", "3.14"), (0.0512, "", "0.051"), (4e-5, "pu", "4e-05"),
        (250.4, "", "250"),
        (7.0, "", "7"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_the_verdict_names_the_secure_and_who_paid_least() -> None:
    comparison = made({
        "voltage_violation_bus_h": [[5, 0], [2, 0]], "line_overload_h": [[0, 0], [0, 0]],
        "curtailed_mwh": [[0, 8], [0, 3]],
    })  # fmt: skip
    assert verdict(comparison) == (
        "2 of 4 pairings kept the system secure: local 2; centralized 2. "
        "Of these, centralized 2 curtailed least (3 MWh)."
    )


def test_the_verdict_names_the_nearest_where_none_is_secure() -> None:
    comparison = made({"voltage_violation_bus_h": [[5, 4], [2, 6]], "line_overload_h": [[1, 1], [1, 2]]})
    assert verdict(comparison) == (
        "None of 4 pairings kept the system secure; centralized 1 came nearest "
        "(outside voltage band 2 h, lines overloaded 1 h)."
    )


def test_the_verdict_says_what_is_not_known() -> None:
    assert verdict(made({"messages": [[1, 2], [3, 4]]})).startswith("No verdict")
    text = verdict(made({"line_overload_h": [[0, 0], [0, 1]]}, missing={"local, stage 1": "aborted"}))
    assert text.endswith("Not finished: local, stage 1 (aborted).")


def test_the_best_stand_out_only_where_pairings_differ() -> None:
    comparison = made({
        "curtailed_mwh": [[1, 2], [1.0000001, 3]], "tap_operations": [[4, 4], [4, 4]],
        "interface_compliant_share": [[0.5, np.nan], [0.9, 0.1]], "acts": [[1, 2], [3, 4]],
    })  # fmt: skip
    kpi = {k.name: k for k in comparison.kpis}
    assert best(comparison, kpi["curtailed_mwh"]) == {("local", 1), ("centralized", 1)}
    assert best(comparison, kpi["tap_operations"]) == set()
    assert best(comparison, kpi["interface_compliant_share"]) == {("centralized", 1)}
    assert best(comparison, kpi["acts"]) == set()


def test_neighbouring_stages_are_drawn_together() -> None:
    assert (
        join([("local", 4), ("local", 2), ("local", 3), ("distributed", 1), ("distributed", 3)])
        == "local 2-4; distributed 1, 3"
    )


def test_a_users_figure_stands_in_the_terminal_table(day_run: Callable[..., Path]) -> None:
    mine = Kpi("mine", "[bold]Mine[/]", "Own", "MW", "Mine.", "mine.py:mine", lambda run: 1.0, "lower")
    out = io.StringIO()
    Console(file=out, width=120).print(terminal_table(compare({("local", 1): day_run("local", 1)}, (*KPIS, mine))))
    assert "[bold]Mine[/]" in out.getvalue()


def test_pairings_that_decide_little_themselves_are_marked_and_explained(
    day_run: Callable[..., Path], tmp_path: Path
) -> None:
    runs = {
        ("local", 3): day_run("local", 3, degenerate="a static band"),
        ("local", 4): day_run("local", 4, degenerate="containment only"),
        ("centralized", 3): day_run("centralized", 3),
    }
    comparison = compare(runs)
    out = io.StringIO()
    Console(file=out, width=160).print(terminal_table(comparison))
    page = write_report(comparison, runs, tmp_path / "r.html").read_text()
    assert "loc 3*" in out.getvalue()
    assert "cen 3*" not in out.getvalue()
    for text in ("* local 3: a static band", "* local 4: containment only"):
        assert text in out.getvalue()
        assert f"<li>{text}</li>" in page


def test_nothing_to_compare_is_told() -> None:
    with pytest.raises(GridseamError, match="nothing to compare"):
        compare({})
