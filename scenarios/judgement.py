"""Whether runs meet what their scenario expects of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenarios.expectation import Expectation
from scenarios.schema import Scenario
from sims.core.errors import Problem, ScenarioError

Pairing = tuple[str, int]
Values = Mapping[Pairing, Mapping[str, float]]
"""Key figures by pairing."""


@dataclass(frozen=True)
class Check:
    """One expectation on one pairing.

    Parameters
    ----------
    kpi : str
        Name of the figure, or ``./file.py:function``.
    """

    kpi: str
    expected: Expectation
    pairing: Pairing

    @property
    def name(self) -> str:
        """Return figure, bounds and pairing in a line."""
        return f"{self.kpi} {self.expected.words} [{self.pairing[0]},{self.pairing[1]}]"

    @property
    def reference(self) -> Pairing | None:
        """The pairing it is held against, if any."""
        other = self.expected.than
        return (other.architecture or self.pairing[0], other.stage or self.pairing[1]) if other else None

    @property
    def needs(self) -> tuple[Pairing, ...]:
        """The pairings that have to be run."""
        return (self.pairing, *([self.reference] if self.reference else []))


@dataclass(frozen=True)
class Verdict:
    """How a check ended: `passed`, and why not in `text`."""

    check: Check
    passed: bool
    text: str
    value: float = math.nan


def checks(scenario: Scenario) -> list[Check]:
    """Return every expectation of a scenario on every pairing it holds for.

    Raises
    ------
    ScenarioError
        An expectation is on a pairing that the matrix does not hold.
    """
    matrix, found, problems = scenario.matrix, [], []
    for kpi, expected in scenario.expect.items():
        for number, one in enumerate(expected):
            chosen = [
                Check(kpi, one, (architecture, stage))
                for architecture in one.architecture or matrix.architecture
                for stage in one.stage or matrix.stage
            ]
            # a pairing held against itself says nothing
            chosen = [c for c in chosen if c.reference != c.pairing]
            held = [(a, s) for a in matrix.architecture for s in matrix.stage]
            for pairing in dict.fromkeys(p for c in chosen for p in c.needs if p not in held):
                text = f"{pairing[0]},{pairing[1]} is not in the matrix"
                problems.append(Problem(scenario.name, f"expect.{kpi}.{number}", text))
            found += chosen
    if problems:
        raise ScenarioError(problems)
    return found


def judge(scenario: Scenario, asked: Sequence[Check], values: Values) -> list[Verdict]:
    """Return a verdict on each check; `values` are the key figures of the runs that ended well.

    Raises
    ------
    ScenarioError
        A stored baseline cannot be read or lacks the figure.
    """
    stored = {b: read_baseline(scenario.folder / b, scenario.seed) for b in
              {c.expected.baseline for c in asked} - {""}}  # fmt: skip
    return [_judge(check, values, stored) for check in asked]


def _judge(check: Check, values: Values, stored: Mapping[str, Values]) -> Verdict:
    name = check.kpi.rpartition(":")[2]
    value = values.get(check.pairing, {}).get(name, math.nan)
    if math.isnan(value):
        return Verdict(check, False, "the run does not hold what the figure needs", value)
    reference = 0.0
    if check.expected.baseline:
        known = stored[check.expected.baseline].get(check.pairing, {})
        if name not in known:
            where = f"{check.pairing[0]},{check.pairing[1]}"
            raise ScenarioError([Problem(check.expected.baseline, name, f"the baseline holds no value of {where}")])
        reference = known[name]
    elif check.reference:
        reference = values.get(check.reference, {}).get(name, math.nan)
    if math.isnan(reference):
        return Verdict(check, False, "the reference does not hold what the figure needs", value)
    missed = list(_missed(check.expected, value, reference))
    return Verdict(check, not missed, "; ".join(missed) or f"is {value:.6g}", value)


def _missed(expected: Expectation, value: float, reference: float) -> Iterator[str]:
    """Yield each bound that `value` misses; equal infinities (never, and never) do not differ."""
    relative = expected.than is not None or bool(expected.baseline)
    size = 0.0 if relative and value == reference else value - reference
    told = f"is {value:.6g}, {size:+.6g} against {reference:.6g}" if relative else f"is {value:.6g}"
    if expected.max is not None and size > expected.max:
        yield f"{told}, more than {expected.max:g}"
    if expected.min is not None and size < expected.min:
        yield f"{told}, less than {expected.min:g}"
    # products instead of quotients, for the reference may be zero
    if expected.max_ratio is not None and value > reference * expected.max_ratio:
        yield f"{told}, more than {expected.max_ratio:g} times that"
    if expected.min_ratio is not None and value < reference * expected.min_ratio:
        yield f"{told}, less than {expected.min_ratio:g} times that"
    if expected.within_percent is not None and abs(size) > abs(reference) * expected.within_percent / 100:
        yield f"{told}, off by more than {expected.within_percent:g} %"


def read_baseline(path: Path, seed: int) -> dict[Pairing, dict[str, float]]:
    """Return the figures in a ``kpis.csv`` by pairing: those of `seed`, the mean over seeds where it lacks it.

    Raises
    ------
    ScenarioError
        The file cannot be read or is no such table.
    """
    by_seed: dict[tuple[Pairing, str], dict[int, float]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["value"]:
                    pairing = (row["architecture"], int(row["stage"]))
                    by_seed.setdefault((pairing, row["kpi"]), {})[int(row["seed"])] = float(row["value"])
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as err:
        text = f"cannot be read as a kpis.csv ({type(err).__name__}: {err})"
        raise ScenarioError([Problem(path.name, "", text)]) from err
    found: dict[Pairing, dict[str, float]] = {}
    for (pairing, kpi), values in by_seed.items():
        found.setdefault(pairing, {})[kpi] = values.get(seed, math.fsum(values.values()) / len(values))
    return found
