"""Data tables of machines, exciters and governors: what each model is called, needs, and may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import Problem, nearest

Array = NDArray[np.float64]

MODELS = ("classical", "genrou")
EXCITERS = ("constant", "sexs")
GOVERNORS = ("constant", "tgov1n", "hygov")

REQUIRED = ("sn_mva", "h_s", "xd1")
MACHINE: Mapping[str, float] = {
    "sn_mva": np.nan, "p_mw": 0.0, "v_pu": 1.0, "h_s": np.nan, "d_pu": 0.0, "ra": 0.0, "xl": 0.0, "xd": np.nan,
    "xq": np.nan, "xd1": np.nan, "xq1": np.nan, "xd2": np.nan,
    "td10_s": np.nan, "td20_s": np.nan, "tq10_s": np.nan, "tq20_s": np.nan,
}
"""Columns of the machine table with defaults; impedances and H on the machine's own base."""

SEXS: Mapping[str, float] = {
    "ta_s": 1.0, "tb_s": 10.0, "k": 100.0, "te_s": 0.1, "e_min": 0.0, "e_max": 6.0,
}
"""Simplified excitation system: K (1 + s TA)/(1 + s TB)/(1 + s TE), limits without windup (PSS/E SEXS)."""

TGOV1N: Mapping[str, float] = {
    "r": 0.05, "t1_s": 0.49, "t2_s": 2.1, "t3_s": 7.0, "dt": 0.0, "v_min": 0.0, "v_max": 1.05,
}
"""Steam turbine: valve lag T1 with limits, then (1 + s T2)/(1 + s T3); the reference is added after the gain 1/R."""

HYGOV: Mapping[str, float] = {
    "r": 0.05, "r_temp": 0.3, "tr_s": 5.0, "tf_s": 0.05, "tg_s": 0.5, "velm": 0.2, "g_min": 0.0, "g_max": 1.0,
    "tw_s": 1.25, "at": 1.2, "dturb": 0.2, "q_nl": 0.08,
}
"""Hydro turbine with a non-elastic water column and temporary droop (PSS/E HYGOV; IEEE Working Group on
Prime Mover Models, IEEE Trans. Power Systems 7(1), 1992, pp. 167-179)."""

_GENROU_ONLY = ("xd", "xq", "xq1", "xd2", "xl", "td10_s", "td20_s", "tq10_s", "tq20_s")
_PARTS = {"exciter": (EXCITERS, {"sexs": SEXS}), "governor": (GOVERNORS, {"tgov1n": TGOV1N, "hygov": HYGOV})}


@dataclass(frozen=True)
class Machines:
    """One column per machine; every row an array [machine].

    Parameters
    ----------
    names : tuple of str
    bus : array of int
        Position of the machine's bus in the case.
    model, exciter, governor : array of int
        Positions in `MODELS`, `EXCITERS`, `GOVERNORS`.
    values, exciter_values, governor_values : dict of arrays
        The parameters, by the names in the tables above. Governor rows hold both kinds of governor;
        a row means something only where the governor is of that kind.
    """

    names: tuple[str, ...]
    bus: NDArray[np.int64]
    model: NDArray[np.int64]
    exciter: NDArray[np.int64]
    governor: NDArray[np.int64]
    values: Mapping[str, Array]
    exciter_values: Mapping[str, Array]
    governor_values: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, field: str) -> Array:
        return self.values[field]

    @property
    def stored_mws(self) -> Array:
        """Kinetic energy at nominal speed H·S [MWs], per machine."""
        return self["h_s"] * self["sn_mva"]

    @property
    def reactance(self) -> Array:
        """Reactance behind which the machine is a voltage source [pu, own base]."""
        return np.where(self.model == MODELS.index("genrou"), self["xd2"], self["xd1"])

    def scaled_inertia(self, factor: float) -> Machines:
        """Return the same machines with every H multiplied by `factor`."""
        return replace(self, values={**self.values, "h_s": self["h_s"] * factor})

    def classical(self) -> Machines:
        """Return the same machines as constant voltage behind xd', without exciters."""
        zero = np.zeros_like(self.model)
        return replace(self, model=zero, exciter=zero)


def read(rows: list[dict[str, Any]], bus_of: Mapping[int, int], where: str, problems: list[Problem]) -> Machines:
    """Build the table from JSON rows; what is wrong is added to `problems`."""
    n = len(rows)
    values = {f: np.full(n, d) for f, d in MACHINE.items()}
    parts: dict[str, dict[str, Array]] = {
        "exciter": {f: np.full(n, d) for f, d in SEXS.items()},
        "governor": {f: np.full(n, d) for f, d in {**HYGOV, **TGOV1N}.items()},
    }
    kinds = {k: np.zeros(n, np.int64) for k in ("model", "exciter", "governor")}
    bus = np.zeros(n, np.int64)
    names = tuple(str(row.get("name", f"machine {i + 1}")) for i, row in enumerate(rows))
    twice = sorted({x for x in names if names.count(x) > 1})
    problems.extend(Problem(where, f"machine.{x}", "the name is used more than once") for x in twice)
    for i, row in enumerate(rows):
        at = f"machine.{names[i]}"
        if row.get("bus") in bus_of:
            bus[i] = bus_of[row["bus"]]
        else:
            problems.append(Problem(where, f"{at}.bus", f"there is no bus {row.get('bus')}"))
        _fill(values, i, row, {*MACHINE}, {"name", "bus", "slack", "v_deg", "model", *_PARTS}, where, at, problems)
        kinds["model"][i] = _kind(row.get("model", "classical"), MODELS, where, f"{at}.model", problems)
        for part, (kinds_of_part, tables) in _PARTS.items():
            entry = row.get(part) or {"model": "constant"}
            kind = entry.get("model", "constant")
            kinds[part][i] = _kind(kind, kinds_of_part, where, f"{at}.{part}.model", problems)
            table = tables.get(kind, {})
            for field, default in table.items():
                parts[part][field][i] = default
            _fill(parts[part], i, entry, {*table}, {"model"}, where, f"{at}.{part}", problems)
    out = Machines(names, bus, kinds["model"], kinds["exciter"], kinds["governor"], values, parts["exciter"],
                   parts["governor"])
    if not problems:
        problems.extend(_faults(out, where))
    return out


def _fill(
    into: dict[str, Array], i: int, row: Mapping[str, Any], valid: set[str], also: set[str],
    where: str, at: str, problems: list[Problem],
) -> None:
    for field, value in row.items():
        if field in valid:
            if isinstance(value, int | float) and np.isfinite(value):
                into[field][i] = value
            else:
                problems.append(Problem(where, f"{at}.{field}", f"{value!r} is not a finite number"))
        elif field not in also:
            hint = nearest(field, valid | also)
            problems.append(Problem(where, f"{at}.{field}", f"there is no such parameter{hint}"))


def _kind(name: Any, valid: tuple[str, ...], where: str, at: str, problems: list[Problem]) -> int:
    if name in valid:
        return valid.index(name)
    problems.append(Problem(where, at, f"'{name}' is not one of {' | '.join(valid)}{nearest(str(name), valid)}"))
    return 0


def _faults(m: Machines, where: str) -> list[Problem]:
    """Check what the equations need: positive constants, reactances in their physical order."""
    genrou = m.model == MODELS.index("genrou")
    out: list[Problem] = []

    def need(ok: NDArray[np.bool_], field: str, text: str) -> None:
        out.extend(Problem(where, f"machine.{m.names[i]}.{field}", text) for i in np.flatnonzero(~ok))

    for field in REQUIRED:
        need(np.nan_to_num(m[field]) > 0, field, "must be given and positive")
    for field in _GENROU_ONLY:
        need(~genrou | (np.nan_to_num(m[field]) > 0), field, "must be given and positive for genrou")
    order = (m["xd"] >= m["xd1"]) & (m["xd1"] >= m["xd2"]) & (m["xd2"] > m["xl"])
    need(~genrou | order, "xd", "must satisfy xd >= xd' >= xd'' > xl")
    order = (m["xq"] >= m["xq1"]) & (m["xq1"] >= m["xd2"])
    need(~genrou | order, "xq", "must satisfy xq >= xq' >= xd'' (xq'' = xd'')")
    need(genrou | (m.exciter == 0), "exciter", "a classical machine has a constant voltage and takes no exciter")
    e, g = m.exciter_values, m.governor_values
    sexs, steam, hydro = m.exciter == 1, m.governor == 1, m.governor == 2
    need(~sexs | ((e["k"] > 0) & (e["te_s"] > 0) & (e["e_max"] > e["e_min"])), "exciter",
         "needs K > 0, TE > 0 and e_max > e_min")
    need(~(steam | hydro) | (g["r"] > 0), "governor.r", "must be positive")
    need(~steam | ((g["v_max"] > g["v_min"]) & (g["t1_s"] >= 0) & (g["t3_s"] >= 0)), "governor",
         "needs v_max > v_min, T1 >= 0 and T3 >= 0")
    positive = np.ones(len(m), np.bool_)
    for field in ("r_temp", "tr_s", "tf_s", "tg_s", "velm", "tw_s", "at"):
        positive &= g[field] > 0
    need(~hydro | (positive & (g["g_max"] > g["g_min"])), "governor", "needs positive constants and g_max > g_min")
    return out


