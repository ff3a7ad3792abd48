"""What is written down: the kinds of things with their labels, and where each quantity comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from results.layout import Kind, Quantity
from results.recorder import Tap
from scenarios.places import FeederPlace, Places
from scenarios.schema import Scenario

FEEDER = {
    "p_mw": "active power drawn from the interface", "q_mvar": "reactive power drawn from the interface",
    "loss_mw": "losses", "load_mw": "consumption of loads", "pv_mw": "PV infeed", "pv_avail_mw": "PV available",
    "wind_mw": "wind infeed", "wind_avail_mw": "wind available", "storage_mw": "storage, discharging positive",
    "ev_mw": "vehicles, charging negative", "heatpump_mw": "heat pumps", "chp_mw": "combined heat and power",
    "flexible_mw": "consumption that can wait", "compensation_mvar": "SVC, STATCOM and capacitors",
    "customers": "customers", "customers_out": "customers without supply", "unserved_mw": "load not served",
    "vm_min_pu": "lowest voltage", "vm_max_pu": "highest voltage", "loading_max_percent": "highest loading",
    "converged": "power flow converged",
}
INTERFACE = {
    "p_mw": "active power into transmission", "q_mvar": "reactive power into transmission",
    "v_pu": "voltage on the transmission side", "v_busbar_pu": "voltage on the distribution side",
    "v_set_pu": "voltage the TSO wishes", "q_ref_mvar": "reactive power the wish asks for",
    "q_band_mvar": "static band of reactive power", "tap_pos": "tap position", "loading_percent": "loading",
}
CELL = {
    "f_hz": "frequency", "p_tie_mw": "export over the ties", "p_sched_mw": "scheduled export",
    "p_gen_mw": "generation", "p_load_mw": "load that no feeder stands for", "ace_mw": "area control error",
    "inertia_mws": "kinetic energy of the machines running", "largest_mw": "largest machine running",
}
GEN = {"p_mw": "active power", "p_set_mw": "set-point with secondary control"}
SYSTEM = {
    "gen_mw": "generation of machines", "static_load_mw": "load that no feeder stands for",
    "loss_transmission_mw": "losses of the transmission grid", "iterations": "solutions until the boundary agreed",
    "contraction": "of an exchange of voltages and powers over the boundary, 1 where it no longer shrinks",
}
RESIDUAL = {
    "residual_s_mva": "power drawn beyond what transmission was solved with",
    "residual_v_pu": "how far that would move the voltage of any interface",
}
FINE = {
    "cell": {"f_hz": "frequency of the machines", "p_tie_mw": "export over the ties"},
    "interface": {
        "f_hz": "frequency at the busbar", "v_pu": "voltage on the distribution side",
        "p_mw": "active power into transmission", "q_mvar": "reactive power into transmission",
        "der_mw": "answer of the devices since their feeders were solved",
    },
    "gen": {"f_hz": "speed", "p_mech_mw": "mechanical power", "p_elec_mw": "air-gap power"},
}
"""What can be recorded at each exchange while frequency is followed, in kinds that end in `_fine`."""
ESTIMATE = {
    "v_rmse_pu": "root mean square error of estimated voltages", "v_max_err_pu": "largest error",
    "age_s": "age of the estimate",
}
STORAGE = {
    "storage_soc_mwh": "energy stored", "storage_discharged_mwh": "energy storages have given back, what wear counts",
    "ev_unmet_mwh": "energy vehicles left without",
}

_UNITS = {"mw": "MW", "mvar": "Mvar", "mva": "MVA", "mwh": "MWh", "mws": "MWs", "pu": "1", "percent": "%", "hz": "Hz",
          "s": "s"}  # fmt: skip
_DOUBLE = {"residual_v_pu", "residual_s_mva", "gen_mw", "static_load_mw", "loss_transmission_mw", "p_mw", "f_hz",
           "loss_mw", "load_mw", "pv_mw", "wind_mw", "storage_mw", "ev_mw"}

_OF_DEVICES = {"load_mw", "pv_mw", "pv_avail_mw", "wind_mw", "wind_avail_mw", "storage_mw", "ev_mw", "heatpump_mw",
               "chp_mw", "flexible_mw", "compensation_mvar", *STORAGE}  # fmt: skip
"""Sums over feeders that the simulator of devices is the origin of."""


def kinds(
    scenario: Scenario, places: Places, machines: Sequence[str], cells: Sequence[str], interface_kv: Sequence[float],
    disturbed: Mapping[str, Any],
) -> list[Kind]:
    """Return all kinds of things of a run, with what does not change in it.

    `interface_kv` is the nominal voltage of the transmission bus at each interface [kV]; `disturbed` says which
    cell loses power when, if one does.
    """
    feeders, limits = places.feeders, scenario.limits
    bus: dict[str, list[Any]] = {key: [] for key in ("label", "vn_kv", "lon", "lat", "feeder", "dso")}
    branch: dict[str, list[tuple[str, str, str, str]]] = {"line": [], "trafo": []}
    for place in feeders:
        grid = place.plan.grid
        bus["label"] += [f"{place.name}.b{b}" for b in grid.node_bus]
        for key, column in (("vn_kv", grid.vn_kv), ("lon", grid.lon), ("lat", grid.lat)):
            bus[key] += column.tolist()
        bus["feeder"] += [place.name] * grid.n_nodes
        bus["dso"] += [place.entry.dso] * grid.n_nodes
        ends = (grid.node_bus[grid.branch_from], grid.node_bus[grid.branch_to])
        for what, element, a, b in zip(grid.branch_kind, grid.branch_element, *ends, strict=True):
            if what in branch:
                label = f"{place.name}.{what[0]}{element}"
                branch[what].append((label, place.name, f"{place.name}.b{a}", f"{place.name}.b{b}"))
    interfaces = places.interfaces

    def kind(name: str, labels: Sequence[str], named: Mapping[str, str], **static: Any) -> Kind:
        columns = {key: np.asarray(value) for key, value in static.items()}
        source = {"feeder": "distribution", "estimate": "recorder"}.get(name, "transmission")
        return Kind(name, labels, _quantities(named, source), columns, every_ms=scenario.record.period_ms(name))

    band = {"v_min_pu": limits.v_min_pu, "v_max_pu": limits.v_max_pu}
    rated = {"loading_max_percent": limits.loading_max_percent}
    return [
        Kind(
            "bus", bus.pop("label"), _quantities({"vm_pu": "voltage"}, "distribution"),
            {k: np.asarray(v) for k, v in bus.items()},
            every_ms=scenario.record.period_ms("bus"), attrs=band,
        ),
        *(
            Kind(
                name, [label for label, *_ in branch[name]],
                _quantities(
                    {"loading_percent": "loading"} | ({"tap_pos": "tap position"} if name == "trafo" else {}),
                    "distribution",
                ),
                {
                    column: np.asarray([row[k] for row in branch[name]])
                    for k, column in enumerate(("feeder", "from_bus", "to_bus"), start=1)
                },
                every_ms=scenario.record.period_ms(name), attrs=rated,
            )
            for name in branch
        ),
        kind(
            "feeder", [f.name for f in feeders], FEEDER | STORAGE, dso=[f.entry.dso for f in feeders],
            cell=[f.entry.cell for f in feeders], grid=[f.entry.grid for f in feeders],
            interface=[interfaces[f.entry.interface].name for f in feeders],
        ),
        kind(
            "interface", [i.name for i in interfaces], INTERFACE | RESIDUAL, bus=[i.bus for i in interfaces],
            dso=[i.dso for i in interfaces], cell=[i.cell for i in interfaces],
            sn_mva=[i.trafo.sn_mva for i in interfaces], vn_kv=list(interface_kv),
        ),
        Kind("cell", list(cells), _quantities(CELL, "transmission"), every_ms=scenario.record.period_ms("cell"),
             attrs=disturbed),
        kind("gen", list(machines), GEN),
        kind("system", ["system"], SYSTEM),
        kind("estimate", [f.name for f in feeders], ESTIMATE),
        *_fine(scenario, {"cell": cells, "interface": [i.name for i in interfaces], "gen": machines}),
    ]


def _fine(scenario: Scenario, labels: Mapping[str, Sequence[str]]) -> list[Kind]:
    """Return the kinds of things that are recorded while machines move, none where they never do."""
    frequency = scenario.transmission.frequency
    if frequency.model != "dynamic":
        return []
    wanted = {
        name: {signal: text for signal, text in named.items() if f"{name}.{signal}" in scenario.record.fine}
        for name, named in FINE.items()
    }
    return [
        Kind(f"{name}_fine", labels[name], _quantities(named, "transmission"), every_ms=frequency.coupling_ms)
        for name, named in wanted.items() if named
    ]


def company(scenario: Scenario) -> list[Kind]:
    """Return what is recorded of simulators that are not ours, one kind each."""
    return [
        Kind(other.name, other.labels, [Quantity(a, "1", a, dtype="f8") for a in other.record], {},
             scenario.time.step_ms, {"started_by": other.start})
        for other in scenario.company
    ]


def taps(places: Places) -> list[Tap]:
    """Return where each recorded quantity comes from."""
    found: list[Tap] = []
    loading = ("loading_percent",)
    for name, quantities in (("bus", ("vm_pu",)), ("line", loading), ("trafo", (*loading, "tap_pos"))):
        index = _slices(places, name)
        found += [Tap(name, name, quantity, index) for quantity in quantities]
    by_dso = _slices(places, "feeder")
    found += [Tap("feeder", "feeder", quantity, by_dso) for quantity in FEEDER]
    by_interface = {dso: np.array([i.index for i in places.interfaces_of(dso)]) for dso in places.dsos}
    found += [Tap("residual", "interface", quantity, by_interface) for quantity in RESIDUAL]
    found += [Tap("energy", "feeder", quantity, {"der": None}) for quantity in STORAGE]
    for port, named in (("interface", INTERFACE), ("cell", CELL), ("gen", GEN), ("system", SYSTEM)):
        found += [Tap(port, port, quantity, {"transmission": None}) for quantity in named]
    return found


def _slices(places: Places, kind: str) -> dict[str, Any]:
    """Return for each distribution simulator which labels of a kind are its own."""
    out: dict[str, Any] = {}
    start = 0
    for dso in places.dsos:
        size = sum(_size(f, kind) for f in places.of_dso(dso))
        out[dso] = np.arange(start, start + size)
        start += size
    return out


def _size(place: FeederPlace, kind: str) -> int:
    if kind == "feeder":
        return 1
    if kind == "bus":
        return place.plan.grid.n_nodes
    return int(np.count_nonzero(place.plan.grid.branch_kind == kind))


def _quantities(named: Mapping[str, str], source: str) -> list[Quantity]:
    return [
        Quantity(
            name, _UNITS.get(name.rsplit("_", 1)[-1], "1"), text[0].upper() + text[1:],
            dtype="f8" if name in _DOUBLE else "f4", source="der" if name in _OF_DEVICES else source,
        )
        for name, text in named.items()
    ]


