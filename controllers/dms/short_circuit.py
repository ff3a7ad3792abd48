"""Short-circuit currents after IEC 60909, against the ratings of the breakers.

`levels` is the standard's method with all its corrections, by pandapower: for people, for planning, for any net.
`quick_levels` is the same equivalent voltage source on the operator's own arrays, without the correction factors of
transformers and machines: for the loop, where a switching plan has to be held against the breaking capacity.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from controllers.dms.network import Bools, Floats, Ints, Network, Topology
from sims.core.errors import GridError

SOURCE_MVA = ((1.0, 25.0), (60.0, 250.0), (800.0, 5000.0))
"""Short-circuit power of an external grid that states none, by voltage: (up to kV, MVA). At the minimum half of it."""
SOURCE_RX = 0.1
END_TEMPERATURE_C = 80.0
"""Temperature of conductors at the end of the fault, for minimum currents."""
C_MAX, C_MIN = 1.10, 1.00
"""Voltage factors above 1 kV (IEC 60909-0, table 1)."""
CONVERTER_FACTOR = 1.0
"""Current of a full converter into a fault, per rated current; grid codes ask for at least the rated current."""
BREAKING_KA = ((1.0, 50.0), (24.0, 20.0), (52.0, 25.0), (800.0, 40.0))
"""Breaking capacity assumed where a switch states none: (up to kV, kA), usual ratings after IEC 62271-100."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Short-circuit currents at every bus, one row each; 0 at dark buses.

    Parameters
    ----------
    bus : int array [bus]
    vn_kv : array [bus]
    ik_max_ka, ik_min_ka : array [bus]
        Initial symmetrical current Ik" of a three-phase fault; the minimum decides whether protection sees it.
    ip_ka : array [bus]
        Peak current, maximum case.
    sk_mva : array [bus]
    assumed : tuple of str
        What the net did not say and was assumed.
    """

    bus: Ints
    vn_kv: Floats
    ik_max_ka: Floats
    ik_min_ka: Floats
    ip_ka: Floats
    sk_mva: Floats
    assumed: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class BreakerCheck:
    """Breakers and what they may have to interrupt, one row each.

    Parameters
    ----------
    switch, bus : int array [switch]
    breaking_ka, ik_ka : array [switch]
        Rated breaking capacity; maximum current at the switch.
    sufficient : bool array [switch]
    """

    switch: Ints
    bus: Ints
    breaking_ka: Floats
    ik_ka: Floats
    sufficient: Bools


def levels(
    net: Any, closed_lines: dict[int, bool] | None = None, converter_factor: float = CONVERTER_FACTOR,
    source_mva: float | None = None, fault: str = "3ph", minimum: bool = True,
) -> Levels:
    """Return maximum and minimum short-circuit currents of a pandapower net.

    Parameters
    ----------
    net : pandapowerNet
        Left as it is.
    closed_lines : dict, optional
        Lines (pandapower index) in another state than in the net: after reconfiguration or restoration.
    converter_factor : float
        What generators behind converters feed in, per rated current; 0 leaves them out.
    source_mva : float, optional
        Short-circuit power of external grids that state none [MVA]; by default what is usual at their voltage.
    fault : str
        ``3ph`` or ``2ph``.

    Raises
    ------
    GridError
        An unknown line; pandapower refuses the net.
    """
    import pandapower.shortcircuit as sc

    trial = copy.deepcopy(net)
    name = str(net.get("name") or "net")
    for line, state in (closed_lines or {}).items():
        _set_line(trial, name, line, state)
    assumed = _completed(trial, source_mva)
    _converters(trial, converter_factor, assumed)
    logging.getLogger("pandapower").setLevel(logging.ERROR)
    bus = trial.bus.index.to_numpy(np.int64)
    found: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for case in ("max", "min") if minimum else ("max",):
                sc.calc_sc(trial, fault=fault, case=case, ip=case == "max", kappa_method="C", tk_s=0.1)
                found[case] = trial.res_bus_sc.reindex(bus).copy()
    except Exception as err:
        raise GridError(f"net {name}: short-circuit calculation refused: {err}") from err
    top, low = found["max"], found.get("min")

    def column(table: Any, key: str) -> Floats:
        values = np.zeros(len(bus)) if table is None or key not in table else table[key].to_numpy(float)
        return np.nan_to_num(values)

    vn = trial.bus.vn_kv.to_numpy(float)
    ik = column(top, "ikss_ka")
    return Levels(bus, vn, ik, column(low, "ikss_ka"), column(top, "ip_ka"), np.sqrt(3.0) * vn * ik, tuple(assumed))


def check_breakers(net: Any, found: Levels) -> BreakerCheck:
    """Hold the maximum currents against the breaking capacity of every circuit breaker and load-break switch.

    A switch states its capacity in the column ``breaking_ka`` of the switch table; else one is assumed by voltage.

    Raises
    ------
    GridError
        The net has no switches.
    """
    table = net.switch
    if not len(table):
        raise GridError(f"net {net.get('name') or 'net'}: has no switches, so there is no breaker to check; "
                        "add them with pp.create_switch")
    kind = table["type"].astype(str).to_numpy() if "type" in table else np.full(len(table), "")
    rows = np.flatnonzero(~np.isin(kind, ("DS",)))
    at = {int(b): i for i, b in enumerate(found.bus)}
    bus = table["bus"].to_numpy(np.int64)[rows]
    place = np.array([at[int(b)] for b in bus], dtype=np.int64)
    usual = assumed_breaking_ka(found.vn_kv[place])
    own = table["breaking_ka"].to_numpy(float)[rows] if "breaking_ka" in table else np.full(len(rows), np.nan)
    capacity = np.where(np.isfinite(own), own, usual)
    ik = found.ik_max_ka[place]
    return BreakerCheck(table.index.to_numpy(np.int64)[rows], bus, capacity, ik, ik <= capacity)


def assumed_breaking_ka(vn_kv: Floats) -> Floats:
    """Return the breaking capacity usual at each nominal voltage [kA]."""
    return _by_voltage(BREAKING_KA, vn_kv)


def usual_source_mva(vn_kv: Floats) -> Floats:
    """Return the short-circuit power usual at each nominal voltage [MVA]."""
    return _by_voltage(SOURCE_MVA, vn_kv)


def _by_voltage(table: tuple[tuple[float, float], ...], vn_kv: Floats) -> Floats:
    up_to, value = np.array(table).T
    found: Floats = value[np.minimum(np.searchsorted(up_to, vn_kv), len(value) - 1)]
    return found


def quick_levels(
    topology: Topology, source_mva: float | None = None, c: float = C_MAX, converter_pu: Floats | None = None
) -> Floats:
    """Return Ik" at every node [kA]: c U_n / (sqrt 3 |Z|) behind source, transformers and lines.

    Nodes in the dark, and those above the transformers, get 0. Converters add the magnitude of their current times
    |Z_kj| / |Z_kk| (IEC 60909-0:2016, full converters).

    Parameters
    ----------
    topology : Topology
    source_mva : float, optional
        Short-circuit power above the transformers, or at the busbars where there are none [MVA].
    converter_pu : array [node], optional
        Current that the converters at each node feed into a fault [pu].
    """
    net: Network = topology.net
    grid = net.grid
    at_kv = grid.vn_kv[net.feed_root] if len(net.feed) else grid.vn_kv[net.anchor]
    power = usual_source_mva(at_kv[:1])[0] if source_mva is None else source_mva
    behind = c * grid.base_mva / power * (SOURCE_RX + 1j) / abs(SOURCE_RX + 1j) + net.z_feed
    # Busbars apart: each is a source behind its own impedance, and a node sees those that reach it.
    nodes = np.concatenate((topology.rep[net.anchor], topology.free))
    reach = np.concatenate((np.eye(len(behind), dtype=complex), topology.w))
    z = (reach * behind) @ reach.T
    z[len(behind) :, len(behind) :] += topology.z
    own = np.abs(np.diagonal(z))
    per_unit = c / own
    if converter_pu is not None:
        per_unit = per_unit + np.abs(z) @ topology.gathered(converter_pu.astype(complex)).real[nodes] / own
    found = np.zeros(grid.n_nodes)
    found[nodes] = per_unit
    base_ka: Floats = grid.base_mva / (np.sqrt(3.0) * grid.vn_kv)
    return np.where(topology.live, found[topology.rep], 0.0) * base_ka


def breakable(topology: Topology, rows: Iterable[int], capacity_ka: Floats | None = None) -> bool:
    """Tell whether the switches at both ends of branches `rows` can break what may flow there afterwards.

    `capacity_ka` [node] is by default what is usual at the node's voltage.
    """
    at = np.array(list(rows), dtype=np.int64)
    grid = topology.net.grid
    ends = np.concatenate((grid.branch_from[at], grid.branch_to[at]))
    can = assumed_breaking_ka(grid.vn_kv) if capacity_ka is None else capacity_ka
    return bool((quick_levels(topology)[ends] <= can[ends]).all()) if len(ends) else True


def _set_line(net: Any, name: str, line: int, state: bool) -> None:
    if line not in net.line.index:
        raise GridError(f"net {name}: line {line} does not exist")
    at = (net.switch["et"] == "l") & (net.switch["element"] == line)
    if state:
        net.line.loc[line, "in_service"] = True
        net.switch.loc[at, "closed"] = True
    elif at.any():
        net.switch.loc[at, "closed"] = False
    else:
        net.line.loc[line, "in_service"] = False


def _completed(net: Any, source_mva: float | None) -> list[str]:
    """Give the net what the standard asks for and it does not state; return what was assumed."""
    assumed = []
    grid, kv = net.ext_grid, net.bus.vn_kv.reindex(net.ext_grid.bus).to_numpy(float)
    usual = usual_source_mva(kv) if source_mva is None else np.full(len(grid), source_mva)
    if _fill(grid, "s_sc_max_mva", usual):
        assumed.append(f"external grid: {', '.join(f'{mva:g}' for mva in np.unique(usual))} MVA")
    if _fill(grid, "s_sc_min_mva", 0.5 * grid["s_sc_max_mva"].to_numpy(float)):
        assumed.append("external grid at the minimum: half of the maximum")
    _fill(grid, "rx_max", np.full(len(grid), SOURCE_RX))
    _fill(grid, "rx_min", grid["rx_max"].to_numpy(float))
    if len(net.line) and _fill(net.line, "endtemp_degree", np.full(len(net.line), END_TEMPERATURE_C)):
        assumed.append(f"conductors at the minimum: {END_TEMPERATURE_C:g} degrees Celsius")
    return assumed


def _fill(table: Any, column: str, values: Floats) -> bool:
    """Put `values` where the column is missing or empty; tell whether any was."""
    given = table[column].to_numpy(float) if column in table else np.full(len(table), np.nan)
    table[column] = np.where(np.isnan(given), values, given)
    return bool(np.isnan(given).any())


def _converters(net: Any, factor: float, assumed: list[str]) -> None:
    """Make generators that state no kind current sources of `factor` times their rated current."""
    if not len(net.sgen):
        return
    if factor <= 0:
        net.sgen["in_service"] = False
        return
    if "sn_mva" not in net.sgen:
        net.sgen["sn_mva"] = np.nan
    net.sgen["sn_mva"] = net.sgen["sn_mva"].astype(float).fillna(net.sgen["p_mw"].abs())
    if "k" not in net.sgen or net.sgen["k"].isna().any():
        net.sgen["k"] = factor if "k" not in net.sgen else net.sgen["k"].fillna(factor)
        assumed.append(f"converters: {factor:g} times rated current")
