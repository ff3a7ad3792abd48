"""A joined net cut into one transmission and several distribution grids, and put together again."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sims.core.errors import GridError, nearest
from sims.grid.fitting import AT_BUS, ENDS, SWITCHED, rebase, renumber
from sims.grid.parts import IntArray
from sims.grid.sanitise import check, sanitised

SAME_LEVEL = 1e-3
"""How far nominal voltages of one level may differ."""
_ABOUT = {"measurement": ("element_type", "element"), "poly_cost": ("et", "element"), "pwl_cost": ("et", "element")}
MARK = "boundary"
"""Type of the ext_grids and loads that stand for the other side of the cut."""


@dataclass(frozen=True, eq=False)
class Lower:
    """One distribution grid, held by the transmission grid at its boundary.

    Parameters
    ----------
    name : str
    net : pandapowerNet
        With an ext_grid at each boundary bus; do not change it, several may share one.
    boundary : tuple of (int, int)
        Bus in the transmission grid, bus in `net`.
    per_unit : bool
        Voltages are taken over per unit, whatever the nominal ones are.
    """

    name: str
    net: Any
    boundary: tuple[tuple[int, int], ...]
    per_unit: bool = False


@dataclass(frozen=True, eq=False)
class Cut:
    """A transmission grid and the distribution grids below it.

    Parameters
    ----------
    upper : pandapowerNet or Cut
        With a load of type ``boundary`` for each boundary of each grid. What was cut at several levels has an upper
        grid that is cut itself.
    lower : tuple of Lower
    """

    name: str
    upper: Any
    lower: tuple[Lower, ...]

    @property
    def boundaries(self) -> tuple[tuple[int, int, int], ...]:
        """Return (number of the grid, bus above, bus below) of every boundary."""
        return tuple((k, above, below) for k, part in enumerate(self.lower) for above, below in part.boundary)


def split(net: Any, at: float | Iterable[float | int | str], name: str | None = None) -> Cut:
    """Cut a net at voltage levels or at named transformers; bus and element numbers stay.

    The transformers at the cut belong to the distribution grids, their high-voltage buses are the boundary.
    What an open switch separates and a closed one would join is one grid.

    Parameters
    ----------
    at : float, list of float, or list of int and str
        A voltage [kV]: everything at or below it is distribution; several ones, for a cut at each. Or transformers, by
        index, by name, or as ``trafo:3`` and ``trafo3w:0``.

    Raises
    ------
    GridError
        There is no such transformer, both sides still hang together, or something stands on two sides.
    """
    name = str(name or net.get("name") or "net")
    wishes = [float(at)] if isinstance(at, int | float) else list(at)
    levels = sorted((wish for wish in wishes if isinstance(wish, float)), reverse=True)
    if len(levels) == len(wishes) > 1:
        lowest = split(net, levels[-1], name)
        return replace(lowest, upper=split(lowest.upper, levels[:-1], name))
    check(net, name)
    lean = sanitised(net)
    cut = _level(lean, levels[0]) if levels else _named(lean, [w for w in wishes if not isinstance(w, float)], name)
    if not cut:
        raise GridError(f"net {name}: no transformer leads from above {at} kV to below it")
    part = _sides(lean, cut, name)
    number = {bus: int(k) for bus, k in zip(lean.bus.index, part, strict=True)}
    boundary: dict[int, list[int]] = {}
    for _, _, above, below in cut:
        found = boundary.setdefault(number[below[0]], [])
        found += [bus for bus in above if bus not in found]
    homes = _homes(lean, number)
    rows = {table: home.groupby(home.to_numpy()).indices for table, home in homes.items()}
    for index in homes["ext_grid"].index[homes["ext_grid"] > 0]:
        raise GridError(f"net {name}: ext_grid {index} at bus {lean.ext_grid.bus.at[index]} lies below the cut; a "
                        "distribution grid is held by its boundary alone")
    blank = pp.create_empty_network(name=name, f_hz=lean.f_hz, sn_mva=lean.sn_mva, add_stdtypes=False)
    upper = _selected(lean, rows, 0, (), blank)
    lower = []
    for k, buses in sorted(boundary.items()):
        own = _selected(lean, rows, k, buses, blank)
        own.name = f"dso_{k}"
        draws = consumption(own) / len(buses)
        for bus in buses:
            pp.create_ext_grid(own, bus, type=MARK, name=f"{own.name} at bus {bus}")
            _stand_in(upper, bus, draws, own.name)
        lower.append(Lower(own.name, own, tuple((bus, bus) for bus in buses)))
    return Cut(name, upper, tuple(lower))


def attach(upper: Any, grids: Sequence[tuple[int, Any]], *, per_unit: bool = False, name: str | None = None) -> Cut:
    """Hang nets of their own below buses of `upper`, each in the place of its one ext_grid.

    Parameters
    ----------
    grids : sequence of (int, pandapowerNet)
        Bus of `upper`, and the net; the same net may stand several times.
    per_unit : bool
        Take voltages over per unit where nominal voltages differ.

    Raises
    ------
    GridError
        The bus does not exist, a net has not one ext_grid, or the nominal voltages differ.
    """
    name = str(name or upper.get("name") or "net")
    above, ready, lower = sanitised(upper), {}, []
    for k, (bus, net) in enumerate(grids):
        own = str(net.get("name") or f"grid {k}")
        if bus not in above.bus.index:
            known = above.bus.index.to_numpy(np.int64)
            near = ", ".join(map(str, known[np.argsort(np.abs(known - bus))[:3]]))
            raise GridError(f"net {name}: boundary bus {bus} of {own} does not exist (near it: {near})")
        if id(net) not in ready:
            check(net, own)
            ready[id(net)] = sanitised(net)
        found = ready[id(net)]
        roots = found.ext_grid.index[found.ext_grid.in_service]
        if len(roots) != 1:
            raise GridError(f"net {own}: has {len(roots)} ext_grids in service; a grid is attached at one")
        root = int(found.ext_grid.bus.at[roots[0]])
        kv, own_kv = float(above.bus.vn_kv.at[bus]), float(found.bus.vn_kv.at[root])
        if not per_unit and abs(own_kv / kv - 1) > SAME_LEVEL:
            raise GridError(f"net {own}: ext_grid {roots[0]} at bus {root} has {own_kv:g} kV, bus {bus} of {name} has "
                            f"{kv:g} kV; attach it with per_unit=True if that is meant")
        if not per_unit and found.f_hz != above.f_hz:
            raise GridError(f"net {own}: is a grid of {found.f_hz:g} Hz, {name} has {above.f_hz:g} Hz")
        lower.append(Lower(f"dso_{k + 1}", found, ((int(bus), root),), per_unit))
        _stand_in(above, bus, consumption(found), lower[-1].name)
    return Cut(name, above, tuple(lower))


def join(cut: Cut) -> Any:
    """Return one net of all parts; numbers stay where they are free, else those of a part move up together."""
    joined = sanitised(join(cut.upper) if isinstance(cut.upper, Cut) else cut.upper)
    joined.load.drop(joined.load.index[joined.load.type == MARK], inplace=True)
    for part in cut.lower:
        own = copy.deepcopy(part.net)
        roots = {below for _, below in part.boundary}
        own.ext_grid.drop(own.ext_grid.index[own.ext_grid.bus.isin(roots)], inplace=True)
        if part.per_unit:
            above, below = part.boundary[0]
            rebase(own, float(joined.bus.vn_kv.at[above]) / float(own.bus.vn_kv.at[below]), own.f_hz / joined.f_hz)
        renumber(own, joined, {below: above for above, below in part.boundary})
        for table, frame in own.items():
            known = table in ENDS or table in AT_BUS or table == "bus"
            if known and isinstance(frame, pd.DataFrame) and len(frame):
                more = frame[~frame.index.isin(joined[table].index)] if table == "bus" else frame
                kinds = joined[table].dtypes
                joined[table] = pd.concat([joined[table], more]).sort_index() if len(joined[table]) else more.copy()
                flags = [c for c, k in kinds.items() if k == np.bool_ and c in joined[table] and c in more]
                joined[table] = joined[table].astype(dict.fromkeys(flags, bool))
    joined.name = cut.name
    return joined


Ends = tuple[str, int, tuple[int, ...], tuple[int, ...]]
"""A transformer at the cut: kind, index, buses above, buses below."""


def _transformers(net: Any) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    for kind in ("trafo", "trafo3w"):
        for index, row in zip(net[kind].index, net[kind][list(ENDS[kind])].to_numpy(np.int64), strict=True):
            yield kind, int(index), tuple(row.tolist())


def _level(net: Any, kv: float) -> list[Ends]:
    high = net.bus.vn_kv > kv * (1 + SAME_LEVEL)
    found = []
    for kind, index, buses in _transformers(net):
        above, below = tuple(b for b in buses if high[b]), tuple(b for b in buses if not high[b])
        if above and below:
            found.append((kind, index, above, below))
    return found


def _named(net: Any, at: Iterable[int | str], name: str) -> list[Ends]:
    ends = {f"{kind}:{index}": (kind, index, buses) for kind, index, buses in _transformers(net)}
    called = {str(net[kind].name.at[index]): f"{kind}:{index}" for kind, index, _ in ends.values()}
    found = []
    for wish in at:
        key = f"trafo:{wish}" if isinstance(wish, int | np.integer) else called.get(wish, wish)
        if key not in ends:
            raise GridError(f"net {name}: there is no transformer '{wish}'{nearest(str(wish), [*called, *ends])}")
        kind, index, buses = ends[key]
        found.append((kind, index, buses[:1], buses[1:]))
    return found


def _sides(net: Any, cut: Sequence[Ends], name: str) -> IntArray:
    """Return the part of every bus [row of the bus table]: 0 above the cut, 1 .. for the grids below it."""
    at = {int(bus): row for row, bus in enumerate(net.bus.index)}
    gone = {(kind, index) for kind, index, _, _ in cut}
    pairs = [(a, b) for kind, index, buses in _transformers(net) if (kind, index) not in gone
             for a, b in pairwise(buses)]
    pairs += [(a, b) for _, _, _, below in cut for a, b in pairwise(below)]
    for kind in ("line", "impedance"):
        pairs += list(map(tuple, net[kind][list(ENDS[kind])].to_numpy(np.int64).tolist()))
    pairs += list(map(tuple, net.switch.loc[net.switch.et == "b", ["bus", "element"]].to_numpy(np.int64).tolist()))
    rows = np.array([(at[a], at[b]) for a, b in pairs], np.int64).reshape(-1, 2)
    n = len(at)
    _, island = connected_components(coo_matrix((np.ones(len(rows)), rows.T), (n, n)), directed=False)
    high = {int(island[at[b]]) for _, _, above, _ in cut for b in above}
    for kind, index, above, below in cut:
        if island[at[above[0]]] == island[at[below[0]]]:
            raise GridError(f"net {name}: {kind} {index}: its two sides hang together without it; cut what joins them "
                            "as well, or at a voltage level")
        if int(island[at[below[0]]]) in high:
            raise GridError(f"net {name}: {kind} {index}: the grid below it has grids below the cut as well; cut one "
                            "level at a time")
    part = np.zeros(n, np.int64)
    number: dict[int, int] = {}
    for bus in sorted(b for _, _, _, below in cut for b in below):
        number.setdefault(int(island[at[bus]]), len(number) + 1)
    for own, k in number.items():
        part[island == own] = k
    return part


# ------------------------------------------------------------------ what belongs where

def _homes(net: Any, number: dict[int, int]) -> dict[str, pd.Series]:
    """Return the part that each element of each table belongs to; a branch to the lower of its ends' parts."""
    homes = {"bus": pd.Series(number, dtype=np.int64).reindex(net.bus.index)}
    for table in (*ENDS, *AT_BUS):
        frame = net.get(table)
        if table == "switch" or not isinstance(frame, pd.DataFrame):
            continue
        ends = [frame[c].map(number) for c in (ENDS.get(table, ("bus",)))]
        homes[table] = pd.concat(ends, axis=1).max(axis=1).astype(np.int64) if len(frame) else frame.index.to_series()
    switch = net.switch
    places = [
        max(number[int(bus)], number[int(element)]) if et == "b" else int(homes[SWITCHED[et]].at[element])
        for bus, element, et in zip(switch.bus, switch.element, switch.et, strict=True)
    ]
    homes["switch"] = pd.Series(places, index=switch.index, dtype=np.int64)
    for table, (kind, element) in _ABOUT.items():
        frame = net.get(table)
        if isinstance(frame, pd.DataFrame) and len(frame):
            homes[table] = pd.Series(-1, frame.index)
            for name in frame[kind].unique():
                rows = frame[kind] == name
                if name in homes:
                    homes[table][rows] = homes[name].reindex(frame.loc[rows, element]).fillna(-1).to_numpy(np.int64)
    return homes


def _selected(net: Any, rows: dict[str, Any], part: int, boundary: Sequence[int], blank: Any) -> Any:
    """Return the net of one part, `rows` [table][part] of each table, with the boundary buses of the other side."""
    own = copy.copy(blank)
    for key, value in blank.items():
        own[key] = value.copy() if isinstance(value, pd.DataFrame) else copy.deepcopy(value)
    for key, of_part in rows.items():
        own[key] = net[key].iloc[of_part.get(part, [])].copy()
    for key in ("trafo_tap_characteristic", "trafo_characteristic_table"):
        if isinstance(net.get(key), pd.DataFrame):
            own[key] = net[key].copy()
    if len(boundary):
        own.bus = pd.concat([own.bus, net.bus.loc[list(boundary)]]).sort_index()
    return own


def consumption(net: Any) -> complex:
    """Return what loads draw less what is fed in [MVA]."""
    total = 0j
    for table, sign in (("load", 1.0), ("storage", 1.0), ("sgen", -1.0)):
        frame = net[table][net[table].in_service]
        total += sign * complex((frame.p_mw * frame.scaling).sum(), (frame.q_mvar * frame.scaling).sum())
    return total


def _stand_in(upper: Any, bus: int, s_mva: complex, name: str) -> None:
    pp.create_load(upper, bus, s_mva.real, s_mva.imag, type=MARK, name=name)
