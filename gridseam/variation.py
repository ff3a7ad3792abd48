"""Comparisons at every combination of some settings, joined into one cube."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridseam.axes import folder_name
from gridseam.study import (
    Pairing,
    Study,
    check_baseline,
    complete,
    evaluate,
    folder_for,
    own_kpis,
    runs_in,
    runs_of,
)
from scenarios.load import changed, load
from scenarios.matrix import Outcome, Watch, jobs_of
from scenarios.schema import Scenario
from scenarios.shard import Shard
from sims.core.errors import GridseamError

if TYPE_CHECKING:
    import xarray as xr

    from results.cubefile import CubeFiles
    from results.kpis.kpi import Kpi

LIST = "sweep.json"
"""In the folder of a variation: which settings belong to which folder."""
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Variation:
    """Comparisons at several points.

    Parameters
    ----------
    folder : Path
        Holds a folder for each point.
    points : tuple of (mapping of key to value, Study)
        The comparison at each combination.
    cube, table, workbook : Path or None
        ``cube.nc``, ``kpis.csv`` and ``kpis.xlsx`` over all points; the swept keys are dimensions or columns.
    kept : int
        Runs that were finished before and not done again.
    """

    folder: Path
    points: tuple[tuple[Values, Study], ...]
    cube: Path | None = None
    table: Path | None = None
    workbook: Path | None = None
    kept: int = 0

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Return how every run ended."""
        return tuple(outcome for _, study in self.points for outcome in study.outcomes)


def label_of(values: Values) -> str:
    """Return ``key=value,key=value``."""
    return ",".join(f"{key}={_shown(value)}" for key, value in values.items())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def points_of(
    scenario: Scenario | str | Path, axes: Mapping[str, Sequence[Any]], variant: str | None = None,
    fixed: Values | None = None,
) -> list[tuple[Values, Scenario]]:
    """Return the scenario at every combination of values, each checked, before anything is run."""
    found: list[tuple[Values, Scenario]] = []
    for chosen in itertools.product(*axes.values()):
        values = dict(zip(axes, chosen, strict=True))
        overrides = {**(fixed or {}), **values}
        at = changed(scenario, overrides) if isinstance(scenario, Scenario) else load(scenario, variant, overrides)
        found.append((values, at))
    return found


def vary(scenario: Scenario | str | Path, axes: Mapping[str, Sequence[Any]], **options: Any) -> Variation:
    """Run the comparison at every combination of values.

    Parameters
    ----------
    scenario : Scenario, or a name or path for `load`
    axes : mapping of dotted key to values
        ``{"der.pv.mw_per_mw_load": [0.5, 1.0]}``.
    options
        As for `gridseam.compare`, save architecture and stage, which are keys too: ``matrix.stage``.

    Raises
    ------
    ScenarioError
        The scenario is refused at one of the points; nothing has been run then.
    """
    return vary_at(points_of(scenario, axes), **options)


def vary_at(
    points: Sequence[tuple[Values, Scenario]], *, seed: Sequence[int] | None = None, out: str | Path | None = None,
    workers: int | str | None = None, watch: Watch | None = None, resume: bool = False, shard: Shard | None = None,
    kpi: Sequence[str] = (), baseline: Pairing | None = None, pages: bool = True,
) -> Variation:
    """Run the comparison at every point, all runs on one pool; arguments as for `gridseam.compare`."""
    kpis = own_kpis(kpi)
    seeds = {at.seed for _, at in points} if seed is None else set(seed)
    planned = [(values, at, [changed(at, {"seed": s}) for s in sorted(seeds)]) for values, at in points]
    for _, at in points:
        if baseline is not None:
            check_baseline(at, baseline)
    names = [folder_name(label_of(values)) for values, _ in points]
    if len(set(names)) < len(names):
        raise GridseamError("two points of the sweep are the same; name each value once")
    folder = folder_for(points[0][1].name, out, resume)
    folders = [folder / name for name in names]
    jobs = [jobs_of(scenarios, place, pages) for (_, _, scenarios), place in zip(planned, folders, strict=True)]
    _write_list(folder, [values for values, _ in points], folders)
    outcomes, kept = complete(list(itertools.chain(*jobs)), workers, watch, resume, shard)
    parts: list[tuple[Values, Study]] = []
    for (values, _), place, of_point in zip(points, folders, jobs, strict=True):
        mine = tuple(o for o in outcomes if o.job in set(of_point))
        runs = runs_of(mine)
        study = Study(place, mine, runs) if shard else evaluate(place, runs, mine, kpis, baseline, pages)
        parts.append((values, study))
    return replace(Variation(folder, tuple(parts)) if shard else _join(folder, parts, kpis), kept=kept)


def _write_list(folder: Path, points: Sequence[Values], folders: Sequence[Path]) -> None:
    listed = [{"values": dict(values), "folder": place.name} for values, place in zip(points, folders, strict=True)]
    (folder / LIST).write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def evaluate_again(
    folder: Path, kpi: Sequence[str] = (), baseline: Pairing | None = None, pages: bool = True
) -> Study | Variation:
    """Compute figures and reports again from the run files in a folder, whatever kind of comparison left them.

    Raises
    ------
    GridseamError
        The folder holds no run files.
    """
    kpis = own_kpis(kpi)
    if folder.is_file():
        raise GridseamError(f"{folder}: is a file; report takes the folder of a comparison")
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
        points = [(dict(p["values"]), folder / p["folder"]) for p in listed]
    except FileNotFoundError:
        points = []
    except (OSError, ValueError, TypeError, KeyError) as err:
        raise GridseamError(f"{folder / LIST} cannot be read ({type(err).__name__}: {err})") from err
    if points:
        found = [(values, place, runs_in(place)) for values, place in points]
        parts = [(values, evaluate(place, runs, (), kpis, baseline, pages)) for values, place, runs in found if runs]
        if parts:
            return _join(folder, parts, kpis)
    runs = runs_in(folder)
    if not runs:
        raise GridseamError(f"{folder}: holds no run files (<architecture>-<stage>.h5)")
    return evaluate(folder, runs, (), kpis, baseline, pages)


def _join(folder: Path, parts: Sequence[tuple[Values, Study]], kpis: Sequence[Kpi]) -> Variation:
    from results.cubefile import figure_rows

    known = [(values, study.comparison) for values, study in parts if study.comparison is not None]
    if not known:
        return Variation(folder, tuple(parts))
    keys = tuple(known[0][0])
    head = (*keys, "architecture", "stage", "seed", "kpi", "unit", "value")
    rows = [row for values, one in known for row in figure_rows(one, tuple(map(_scalar, values.values())))]
    files = _write(folder, joined([(v, c.dataset()) for v, c in known]), [head, *rows], kpis)
    return Variation(folder, tuple(parts), files.cube, files.table, files.workbook)


def _write(folder: Path, cube: xr.Dataset, rows: Sequence[tuple[Any, ...]], kpis: Sequence[Kpi]) -> CubeFiles:
    from results.cubefile import write_files

    return write_files(folder, cube, {}, {"kpis": rows}, kpis)


def _scalar(value: Any) -> Any:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else _shown(value)


def joined(cubes: Sequence[tuple[Values, xr.Dataset]]) -> xr.Dataset:
    """Return one cube with a dimension for each key; combinations that are missing are NaN."""
    import xarray as xr

    keys = list(cubes[0][0])
    if not keys:
        return cubes[0][1]
    key, found = keys[0], []
    for value in list(dict.fromkeys(_scalar(values[key]) for values, _ in cubes)):
        rest = [({k: v for k, v in vs.items() if k != key}, cube) for vs, cube in cubes if _scalar(vs[key]) == value]
        found.append(joined(rest).expand_dims({key: [value]}))
    return xr.concat(found, dim=key, join="outer", combine_attrs="override", data_vars="all", coords="minimal")
