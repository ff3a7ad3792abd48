"""Which meters there are, and who receives their frames at a pairing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from controllers.responsibility import Responsibility
from scenarios.places import FeederPlace, Places
from scenarios.schema import Scenario
from scenarios.schema_communication import ByException
from sims.der.fleet import DeviceTable
from sims.distribution.feeders import Feeders
from sims.distribution.meter_plan import (
    HIGH_VOLTAGE_KV,
    AreaPoint,
    Bands,
    FeederPoints,
    MeterPlan,
    StoragePoint,
    TransmissionPlan,
)


def meter_plans(
    scenario: Scenario, places: Places, feeders: Mapping[str, Feeders], responsibility: Responsibility,
    table: DeviceTable,
) -> list[MeterPlan]:
    """Return one plan per DSO.

    Without supervision (local) nothing is reported but outages, which customers call in. A control centre
    gets every frame of its DSO; agents get the frames of their own area, the leading one those of the
    primary substation. A secondary substation also passes on what is metered in the low-voltage grid below.
    """
    metering = scenario.communication.metering
    return [
        MeterPlan(
            dso, feeders[dso],
            [_points(f, k, responsibility) for k, f in enumerate(places.of_dso(dso))],
            metering.primary_ms, metering.secondary_ms, metering.v_accuracy_percent, metering.p_accuracy_percent,
            *_subscription(metering.tso_der_ms, responsibility),
            metering.smart_meter_ms or 0, metering.smart_meter_accuracy_percent,
            metering.v_resolution_pu, metering.power_resolution_mva, _bands(metering.by_exception),
            _storage(places, dso, table) if responsibility.architecture == "centralized" else (),
        )
        for dso in places.dsos
    ]


def _storage(places: Places, dso: str, table: DeviceTable) -> tuple[StoragePoint, ...]:
    """Return the batteries of each feeder, which the control centre hears of through its primary substation."""
    storage = np.flatnonzero(table.kind == "storage")
    found = []
    for feeder in places.of_dso(dso):
        row = np.flatnonzero(table.feeder[storage] == feeder.number)
        if len(row):
            found.append(StoragePoint(feeder.name, f"{dso}.dms", storage[row], row))
    return tuple(found)


def _subscription(every_ms: int | None, responsibility: Responsibility) -> tuple[int, tuple[str, ...]]:
    """Return how often and to whom feeders tell what their DER give: the TSO, while it holds what they could do."""
    asked = every_ms is not None and not responsibility.held("support_tso_voltage")
    return (every_ms or 0, ("tso",)) if asked else (0, ())


def _bands(told: ByException | None) -> Bands | None:
    return Bands(told.scan_ms, told.v_pu, told.power_mva) if told else None


def _points(place: FeederPlace, number: int, responsibility: Responsibility) -> FeederPoints:
    dso, architecture = place.entry.dso, responsibility.architecture
    crew = f"{dso}.crew"
    centre = f"{dso}.dms"
    switched = responsibility.held("restore_supply")
    # The primary substation reports what is connected to its busbars like any other substation.
    senders = tuple(
        g or (place.name if kv < HIGH_VOLTAGE_KV else "")
        for g, kv in zip(place.gateways, place.plan.grid.vn_kv, strict=True)
    )
    if architecture == "centralized":
        receivers = tuple(centre if sender else "" for sender in senders)
        return FeederPoints(number, (centre,), senders, receivers, fault_to=centre, crew=crew)
    if architecture == "distributed":
        areas = place.plan.areas.of_node
        receivers = tuple(
            place.agents[areas[n]] if sender else "" for n, sender in enumerate(senders)
        )
        lead = place.agents[0]
        return FeederPoints(
            number, (lead,), senders, receivers, _areas(place), fault_to=lead if switched else "", crew=crew
        )
    return FeederPoints(number, (), place.gateways, ("",) * len(place.gateways), crew=crew)


def _areas(place: FeederPlace) -> tuple[AreaPoint, ...]:
    """Return what each agent of a feeder measures: its node, and the lines to its neighbours."""
    grid, areas = place.plan.grid, place.plan.areas
    points = []
    for k, agent in enumerate(place.agents):
        rows = areas.boundary[k]
        outward = areas.of_node[grid.branch_from[rows]] == k
        far = np.where(outward, grid.branch_to[rows], grid.branch_from[rows])
        points.append(
            AreaPoint(
                agent, int(areas.head[k]), grid.branch_element[rows].astype(np.int64), rows,
                np.where(outward, 1.0, -1.0), areas.of_node[far],
            )
        )
    return tuple(points)


def transmission_plan(places: Places, responsibility: Responsibility) -> TransmissionPlan:
    """Return who receives the frames of interfaces and ties."""
    central = responsibility.architecture == "centralized"
    distributed = responsibility.architecture == "distributed"
    supports = responsibility.ever_held("support_tso_voltage")
    to, own = [], []
    for interface in places.interfaces:
        to.append(("tso", f"{interface.dso}.dms") if central else ("tso",))
        own.append(interface.name if distributed and supports else "")
    ties: list[tuple[str, int]] = []
    if responsibility.ever_held("balance_cell"):
        if central:
            ties = [(f"{i.dso}.dms", i.cell - 1) for i in {i.dso: i for i in places.interfaces}.values()]
        elif distributed:
            ties = [(i.name, i.cell - 1) for i in places.interfaces]
    return TransmissionPlan(tuple(i.name for i in places.interfaces), tuple(to), tuple(own), tuple(ties))
