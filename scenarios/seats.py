"""Who sits where: sites and controllers of a pairing, as one table."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from controllers.belief import Belief
from controllers.contract import Controller, Site
from controllers.isolation import Isolation
from controllers.loading import built, load_class
from controllers.responsibility import FROM_STAGE, Responsibility
from controllers.seat import FAR_S, Seat
from scenarios.beliefs import Beliefs, cell_numbers
from scenarios.places import Places
from scenarios.schema import Scenario
from scenarios.schema_operation import OwnController
from scenarios.wiring import TSO
from sims.transmission.case import MachineCase

TSO_LOOKS_MS = 60_000
"""How often the control room of the TSO looks at what is not called by its measurement."""
CENTRAL, DISTRIBUTED, ALL = ("centralized",), ("distributed",), ("local", "centralized", "distributed")


@dataclass(frozen=True)
class Row:
    """One controller class: at which places, under which duty, in which architectures and stages it sits.

    `own` is the user's word on it where it is not ours.
    """

    at: str
    duty: str
    use: str
    architectures: tuple[str, ...]
    stages: tuple[int, int] = (1, 4)
    own: OwnController | None = None


TABLE: tuple[Row, ...] = (
    Row("dms", "observe", "controllers.centralized.observe:Observe", CENTRAL),
    Row("dms", "observe", "controllers.centralized.watch:Watch", CENTRAL),
    Row("dms", "observe", "controllers.centralized.foresight:Foresight", CENTRAL),
    Row("dms", "observe", "controllers.centralized.storage:WatchStorage", CENTRAL),
    Row("dms", "observe", "controllers.distributed.supervision:Supervise", DISTRIBUTED),
    Row("dms", "manage_congestion", "controllers.centralized.congestion:ManageCongestion", CENTRAL, (2, 4)),
    Row("dms", "manage_congestion", "controllers.centralized.load_management:ManageLoad", CENTRAL, (2, 4)),
    Row("dms", "control_voltage", "controllers.centralized.voltage:ControlVoltage", CENTRAL, (2, 4)),
    Row("dms", "restore_supply", "controllers.centralized.restoration:RestoreSupply", CENTRAL, (2, 4)),
    Row("dms", "support_tso_voltage", "controllers.centralized.interface:SupportTsoVoltage", CENTRAL, (3, 4)),
    Row("dms", "contain_frequency", "controllers.centralized.frequency:ContainFrequency", CENTRAL, (4, 4)),
    Row("dms", "balance_cell", "controllers.centralized.balance:BalanceCell", CENTRAL, (4, 4)),
    Row("dms", "provide_inertia", "controllers.centralized.inertia:ProvideInertia", CENTRAL, (4, 4)),
    Row("area", "observe", "controllers.distributed.observe:ObserveArea", DISTRIBUTED),
    Row("area", "manage_congestion", "controllers.distributed.congestion:ConsensusCurtailment", DISTRIBUTED, (2, 4)),
    Row("area", "manage_congestion", "controllers.distributed.relief:RelieveImport", DISTRIBUTED, (2, 4)),
    Row("area", "control_voltage", "controllers.distributed.voltage:ConsensusVoltVar", DISTRIBUTED, (2, 4)),
    Row("area", "restore_supply", "controllers.distributed.restoration:RestoreSupply", DISTRIBUTED, (2, 4)),
    Row("area", "support_tso_voltage", "controllers.distributed.interface:ShareReactive", DISTRIBUTED, (3, 4)),
    Row("area", "balance_cell", "controllers.distributed.delivery:ShareActive", DISTRIBUTED, (4, 4)),
    Row("area", "contain_frequency", "controllers.distributed.frequency:ShareDroop", DISTRIBUTED, (4, 4)),
    Row("area", "observe", "controllers.distributed.supervision:TellState", DISTRIBUTED),
    Row("area", "provide_inertia", "controllers.distributed.inertia:ShareInertia", DISTRIBUTED, (4, 4)),
    Row("interface", "support_tso_voltage", "controllers.distributed.interface:AdmmInterface", DISTRIBUTED, (3, 4)),
    Row("interface", "balance_cell", "controllers.distributed.balance:CellAgents", DISTRIBUTED, (4, 4)),
    Row("interface", "contain_frequency", "controllers.distributed.frequency:DroopAgents", DISTRIBUTED, (4, 4)),
    Row("interface", "provide_inertia", "controllers.distributed.inertia:InertiaAgents", DISTRIBUTED, (4, 4)),
    Row("tso", "balance_cell", "controllers.tso.afrr:Afrr", ALL),
    Row("tso", "support_tso_voltage", "controllers.tso.voltage:VoltageWish", CENTRAL, (3, 4)),
    Row("tso", "support_tso_voltage", "controllers.tso.admm:AdmmTso", DISTRIBUTED, (3, 4)),
    Row("tso", "manage_congestion", "controllers.tso.emergency:EmergencyCall", ALL, (1, 2)),
    Row("operator", "manage_congestion", "controllers.local.operator:Operator", ALL),
    Row("crew", "restore_supply", "controllers.local.crew:Crew", ALL),
)
"""The controllers gridseam brings; a scenario's own ones take the place of those of the same duties."""


def roles(places: Places) -> dict[str, str]:
    """Return the role of every site there can be."""
    found = {TSO: "tso"}
    for dso in places.dsos:
        found |= {f"{dso}.dms": "dms", f"{dso}.operator": "operator", f"{dso}.crew": "crew"}
    found |= {interface.name: "agent" for interface in places.interfaces}
    found |= {agent: "agent" for feeder in places.feeders for agent in feeder.agents}
    return found


def reserves(places: Places, case: MachineCase) -> dict[str, frozenset[str]]:
    """Return the power stations of its cell for every site that may balance it: control rooms and interfaces."""
    numbers = cell_numbers(case)
    of_cell: dict[int, set[str]] = {number: set() for number in numbers}
    for name, cell in zip(case.machines.names, case.bus_cell[case.machines.bus].tolist(), strict=True):
        of_cell[numbers[cell]].add(f"gen.{name}")
    return {site: frozenset(of_cell[i.cell]) for i in places.interfaces for site in (f"{i.dso}.dms", i.name)}


def seats(
    scenario: Scenario, places: Places, told: Beliefs, responsibility: Responsibility, wishes: Mapping[str, float]
) -> list[Seat]:
    """Return the sites of this pairing with their controllers, in a fixed order."""
    found: list[Seat] = []
    desks: dict[str, dict[str, Any]] = {}
    for row in _rows(scenario, responsibility):
        does = row.use.rpartition(":")[2]
        sites = []
        for name, belief, neighbours in _sites(row.at, places, told, responsibility.architecture):
            settings = _settings(scenario, row, responsibility, wishes)
            if row.at in ("dms", "area"):
                settings["shared"] = {} if row.own and row.own.isolate else desks.setdefault(name, {})
            sites.append(Site(
                name, responsibility.roles[name], responsibility.duties_of(responsibility.roles[name]), belief,
                neighbours, _period_ms(row, settings, scenario.time.step_ms),
                np.random.default_rng([scenario.seed, *(zlib.crc32(what.encode()) for what in (name, row.duty, does))]),
                settings,
            ))
        spans_ms = _spans_ms(row, responsibility)
        found += [
            Seat(site, controller, spans_ms=spans_ms, budget_s=_budget_s(row), falls_back=_falls_back(row))
            for site, controller in zip(sites, _controllers(row, sites, scenario.folder), strict=True)
        ]
    return found


def _controllers(row: Row, sites: Sequence[Site], folder: Path) -> Sequence[Controller]:
    """Return the controllers of a row, here or in a process of their own."""
    if row.own and row.own.isolate and sites:
        return Isolation(row.use, folder, sites, row.own.budget_ms / 1000).controllers()
    made = load_class(row.use, folder)
    return [built(made, site) for site in sites]


def _period_ms(row: Row, settings: Mapping[str, Any], step_ms: int) -> int:
    """Return how often a site looks up by itself; who balances is called by each measurement of the ties beside."""
    cycle_ms = int(settings.get("cycle_ms", step_ms))
    return max(cycle_ms, step_ms) if row.duty == "balance_cell" else cycle_ms


def _budget_s(row: Row) -> float:
    """Return how long one decision may take in real time [s]; who asks another process looks at the clock itself."""
    if row.own is None:
        return Seat.budget_s
    return FAR_S if row.own.isolate else row.own.budget_ms / 1000


def _falls_back(row: Row) -> bool:
    """Tell whether a run goes on without what a controller does wrong."""
    return row.own is not None and row.own.on_error == "fallback"


def _rows(scenario: Scenario, responsibility: Responsibility) -> Iterator[Row]:
    """Give the rows in force, the scenario's own controllers in place of ours of the same duties."""
    architecture, stage = responsibility.architecture, responsibility.stage
    own = [
        o for o in scenario.controllers
        if o.architecture in (None, architecture) and architecture in HOME[o.at]
    ]
    for row in TABLE:
        handed = row.stages[0] > 1 and responsibility.changes_hands(row.duty)
        first, last = row.stages
        if first == FROM_STAGE[row.duty]:  # with its duty: earlier or later where the table says so
            first = responsibility.from_stage[row.duty]
        if architecture not in row.architectures or not (handed or first <= stage <= last):
            continue
        if not any(row.at in SEATED[o.at] and row.duty in o.duties for o in own):
            yield row
    for o in own:
        held = tuple(duty for duty in o.duties if responsibility.ever_held(duty) or o.at == "tso")
        if held:
            yield Row(SEATED[o.at][0], held[0], o.use, (architecture,), (1 if o.at == "tso" else 2, 4), o)


def _spans_ms(row: Row, responsibility: Responsibility) -> tuple[tuple[int, int], ...]:
    """Return when a seat is staffed: with a duty that changes hands, while the DSO's side holds it; else always."""
    handed = row.stages[0] > 1 and responsibility.changes_hands(row.duty)
    return responsibility.held_spans_ms(row.duty) if handed else ()


HOME: Mapping[str, tuple[str, ...]] = {"dms": CENTRAL, "agent": DISTRIBUTED, "tso": ALL}
SEATED: Mapping[str, tuple[str, ...]] = {"dms": ("dms",), "agent": ("area", "interface"), "tso": ("tso",)}
"""In which architectures a place decides, and which places of the table it stands for."""


def _sites(
    at: str, places: Places, told: Beliefs, architecture: str
) -> Iterator[tuple[str, Belief, tuple[str, ...]]]:
    """Give (address, what it knows, whom it may write to) of every site of a kind."""
    if at == "tso":
        rooms, interfaces = (f"{dso}.dms" for dso in places.dsos), (i.name for i in places.interfaces)
        near = {"centralized": tuple(rooms), "distributed": tuple(interfaces)}.get(architecture, ())
        yield TSO, told.of_tso(), near
    elif at == "dms":
        for dso in places.dsos:
            others = tuple(f"{other}.dms" for other in places.dsos if other != dso)
            yield f"{dso}.dms", told.of_dso(dso), (*others, f"{dso}.crew", TSO)
    elif at in ("crew", "operator"):
        # Whoever switches and people tell each other: the control room, or the agents that lead.
        for dso in places.dsos:
            leading = tuple(f.agents[0] for f in places.of_dso(dso))
            near = {"centralized": (f"{dso}.dms",), "distributed": leading}.get(architecture, ())
            near += (f"{dso}.crew",) if at == "operator" else ()
            yield f"{dso}.{at}", told.of_dso(dso), near
    elif at == "interface":
        for interface in places.interfaces:
            near = tuple(i.name for i in places.interfaces if i.name != interface.name)
            yield interface.name, told.of_interface(interface.name), (*near, TSO)
    else:
        for feeder in places.feeders:
            for k, agent in enumerate(feeder.agents):
                near = tuple(feeder.agents[other] for other in feeder.plan.areas.neighbours[k])
                near += () if k else (f"{feeder.entry.dso}.crew",)
                yield agent, told.of_area(feeder.name, k), near


def _settings(
    scenario: Scenario, row: Row, responsibility: Responsibility, wishes: Mapping[str, float]
) -> dict[str, Any]:
    """Return the settings of a duty, with what the run adds."""
    metering = scenario.communication.metering
    duties = row.own.duties if row.own else (row.duty,)
    settings: dict[str, Any] = {}
    for duty in duties:
        settings |= scenario.control.settings(duty)
    settings |= {
        "stage": responsibility.stage, "architecture": responsibility.architecture,
        "estimation_ms": metering.estimation_ms, "v_class_percent": metering.v_accuracy_percent,
        "p_class_percent": metering.p_accuracy_percent,
    }
    if row.at in ("dms", "area"):
        ev = scenario.der.ev
        settings |= {
            "tariff": scenario.der.tariff, "v2g_share": ev.v2g_share, "vehicle_h": ev.battery_kwh / ev.plug_kw,
        }
    if row.at == "dms" and responsibility.changes_hands("support_tso_voltage"):
        settings["tso_voltage_ms"] = responsibility.held_spans_ms("support_tso_voltage")
    if row.at in ("area", "interface"):
        settings["cycle_ms"] = scenario.time.step_ms  # a round of consensus, not a decision of its own
    if "t_i_ms" in settings:
        settings["t_i_s"] = settings["t_i_ms"] / 1000
    if row.at == "tso":
        afrr = scenario.transmission.afrr
        cells = sorted({d.cell for d in scenario.dsos}) if responsibility.ever_held("balance_cell") else []
        if responsibility.changes_hands("balance_cell"):
            spans_ms = responsibility.held_spans_ms("balance_cell")
            settings["held_spans_s"] = tuple((start / 1000, end / 1000) for start, end in spans_ms)
        settings |= {
            "k_p": afrr.k_p, "t_i_s": afrr.t_i_ms / 1000, "cells_held_by_dso": cells, "u_set_pu": dict(wishes),
            "cycle_ms": afrr.cycle_ms if row.duty == "balance_cell" else TSO_LOOKS_MS,
        }
    return settings | dict(row.own.settings) if row.own else settings
