"""From a checked scenario to a mosaik world: every model and every connection, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controllers.host import ControllerHost
from controllers.responsibility import FROM_STAGE, Handover, Responsibility
from results.estimates import Assessor
from results.recorder import Recorder
from results.witness import Witness
from results.witness import port_of as port_of_witness
from results.writer import RunWriter
from scenarios import recording
from scenarios.beliefs import Beliefs, beliefs, cell_numbers
from scenarios.devices import der_simulator, device_map
from scenarios.ground import Ground, load_nodes
from scenarios.inertia import refuse_too_much
from scenarios.meters import meter_plans, transmission_plan
from scenarios.network import Route, carrier, port_of
from scenarios.schema import Scenario
from scenarios.schema_disturbances import LineFault
from scenarios.seats import reserves, roles, seats
from scenarios.upsets import upsets
from sims.comms.simulator import CommsSimulator, Concern
from sims.core.errors import ModelError
from sims.core.harness import Harness
from sims.der.simulator import DerSimulator
from sims.distribution import simulator as distribution
from sims.distribution.feeders import Feeder, Feeders
from sims.distribution.metering import Metering
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.taps import Avr, TapData
from sims.transmission.grid import branch_elements, tap_data
from sims.transmission.machinery import Machinery
from sims.transmission.plant import Plant, Wish
from sims.transmission.quasi_steady import Governors, QuasiSteady
from sims.transmission.simulator import TransmissionSimulator
from sims.transmission.ties import Ties

REPAIR_MS = 4 * 3_600_000
"""Until a faulted cable is repaired and may be closed again."""


@dataclass
class World:
    """An assembled run: the harness, and the models to ask when it is over."""

    harness: Harness
    recorder: Recorder
    comms: CommsSimulator
    host: ControllerHost
    transmission: TransmissionSimulator


def responsibility_of(ground: Ground, architecture: str, stage: int) -> Responsibility:
    """Return the table of a pairing, with everybody's role and what changes hands."""
    scenario = ground.scenario
    handed = tuple(Handover(scenario.at_ms(t), t.duty, t.to == "dso") for t in scenario.handover)
    return Responsibility(
        architecture, stage, roles(ground.places), {**FROM_STAGE, **scenario.from_stage.model_dump()}, handed,
        reserves(ground.places, ground.case),
    )


def assemble(
    ground: Ground, responsibility: Responsibility, writer: RunWriter, progress: Callable[[int], None] | None = None
) -> World:
    """Return the world of one pairing, ready to run.

    The order of the connections is the order of one step: devices, then transmission and distribution until
    the boundary agrees, then meters, then the network, then whoever decides, then the record.
    """
    scenario, places = ground.scenario, ground.places
    step_ms = scenario.time.step_ms
    authorize = responsibility.authorize
    der = der_simulator(
        scenario, ground.table, ground.series, responsibility, ground.cell_of_dso, step_ms=step_ms, stays=ground.stays,
        f0_hz=ground.case.f0_hz,
        place=np.array([f.entry.interface for f in places.feeders], np.int64)[ground.table.feeder],
    )
    refuse_too_much(ground, der)
    dsos = {dso: _distribution(ground, dso, der, responsibility) for dso in places.dsos}
    told = beliefs(scenario, places, ground.table, ground.case, ground.plan, ground.expected_mw)
    wishes = dict(zip((i.name for i in places.interfaces), ground.plan.v_interface_pu.tolist(), strict=True))
    network = carrier(scenario, places, ground.case.machines.names)
    host = ControllerHost(
        seats(scenario, places, told, responsibility, wishes), authorize, step_ms,
        (*network.names, *scenario.communication.groups),
    )
    feeders = {dso: sim.feeders for dso, sim in dsos.items()}
    metering = Metering(
        meter_plans(scenario, places, feeders, responsibility, ground.table), transmission_plan(places, responsibility),
        scenario.seed, step_ms,
    )
    actuators = port_of(places)
    comms = CommsSimulator(
        network, ("control",), Route(actuators),
        boxes=tuple(dict.fromkeys(actuators.values())), slot_ms=scenario.communication.slot_ms, step_ms=step_ms,
        wakes=_wakes(scenario, host), gather_ms=host.beat_ms,
    )
    recorder = Recorder(
        writer, recording.taps(places), step_ms=step_ms,
        assessor=Assessor(_nodes(ground, feeders)), progress=progress,
    )
    transmission = _transmission(ground, told, responsibility)
    harness = Harness()
    harness.add("der", der)
    with harness.group():
        harness.add("transmission", transmission)
        for dso, sim in dsos.items():
            harness.add(dso, sim)
    harness.add("metering", metering)
    harness.add("comms", comms)
    harness.add("control", host)
    harness.add("recorder", recorder)
    _connect(harness, ground, der, tuple(dsos))
    _invite(harness, scenario, writer)
    return World(harness, recorder, comms, host, transmission)


def _wakes(scenario: Scenario, host: ControllerHost) -> Concern:
    """Return whether a delivery is acted upon at once: by a site, or by a power station while frequency moves."""
    if scenario.transmission.frequency.model != "dynamic":
        return host.wakes
    return lambda receiver, topic: receiver.startswith("gen.") or host.wakes(receiver, topic)


def _invite(harness: Harness, scenario: Scenario, writer: RunWriter) -> None:
    """Start the simulators that are not ours, each with a witness that records what it writes."""
    try:
        for other in scenario.company:
            witness = f"witness_{other.name}"
            harness.start(
                other.name, other.start, other.model, other.labels, other.settings, other.params, parts=other.parts,
                folder=scenario.folder,
            )
            harness.add(witness, Witness(writer, other.name, other.labels, other.record, scenario.time.step_ms))
            for attribute in other.record:
                heard = [
                    harness.listen(other.name, label, attribute, witness, port_of_witness(label, attribute))
                    for label in other.labels
                ]
                if not any(heard):
                    raise ModelError(other.name, 0, f"{', '.join(other.labels[:3])} has no '{attribute}'")
    except BaseException:
        with harness:
            raise


def _connect(harness: Harness, ground: Ground, der: DerSimulator, dsos: tuple[str, ...]) -> None:
    """Join the models; what closes a cycle arrives one tick later, or in a further iteration."""
    table, connect = ground.table, harness.connect
    for dso in dsos:
        own = table.of_dso(ground.places.dsos.index(dso))
        for port in ("p_mw", "q_mvar", "pu_mw", "qu_mvar", "pf_mw", "p_avail_mw"):
            connect("der", port, dso)
        connect(dso, "exchange", "transmission")
        connect("transmission", "boundary", dso, weak=True)
        for port, target in (("v_dev_pu", "v_pu"), ("p_real_mw", "p_real_mw")):
            start = np.ones(own.size) if target == "v_pu" else np.zeros(own.size)
            connect(dso, port, "der", target, shifted=True, initial=start)
        for port in Metering.ports.reads[:-3]:
            connect(dso, port, "metering")
        connect("comms", f"distribution_{dso}", dso, "commands")
        for port in ("bus", "line", "trafo", "feeder", "residual", "acts"):
            connect(dso, port, "recorder")
    connect("transmission", "fast", "der", shifted=True)
    connect("der", "fast_mw", "transmission")
    connect("transmission", "f_hz", "der", shifted=True, initial=np.full(len(ground.case.cells), ground.case.f0_hz))
    for port in ("interface", "cell", "ties"):
        connect("transmission", port, "metering")
    connect("der", "storage", "metering")
    for port in ("interface", "cell", "gen", "system", "acts", "fine"):
        connect("transmission", port, "recorder")
    connect("metering", "frames", "comms", "outbox", shifted=True)
    connect("control", "outbox", "comms", shifted=True)
    connect("comms", "control", "control", "mail")
    connect("metering", "own", "control")
    connect("comms", "der", "der", "commands")
    connect("comms", "transmission", "transmission", "commands")
    connect("comms", "log", "recorder")
    for port in ("actions", "reports", "alarms"):
        connect("control", port, "recorder")
    for port in ("energy", "acts", "alarms"):
        connect("der", port, "recorder")


def _distribution(
    ground: Ground, dso: str, der: DerSimulator, responsibility: Responsibility
) -> distribution.DistributionSimulator:
    """Return one DSO with its feeders, tap changers and the faults that will strike it."""
    scenario, places = ground.scenario, ground.places
    own, interfaces = places.of_dso(dso), places.interfaces_of(dso)
    first = interfaces[0].index
    feeders = Feeders(
        [Feeder(f.name, f.plan.grid, f.entry.interface - first, f.plan.customers) for f in own], der.curves,
        hold=scenario.diverged == "hold",
    )
    taps = [f.plan.grid.taps[t] for f, rows in zip(own, feeders.regulated, strict=True) for t in rows]
    start = np.repeat(feeders.node_start[:-1], np.diff(feeders.tap_start))
    avr = Avr(
        TapData(
            np.array([t.positions[0] for t in taps]), np.array([t.positions[-1] for t in taps]),
            np.array([t.step_percent for t in taps]), np.array([t.side == "hv" for t in taps]),
        ),
        np.full(len(taps), scenario.limits.v_busbar_pu), np.array([t.initial for t in taps]),
    )
    names = [f.name for f in own]
    faults = [
        distribution.LineFault(at := scenario.at_ms(d), names.index(d.feeder), d.line, at + REPAIR_MS)
        for d in scenario.disturbances if isinstance(d, LineFault) and d.feeder in names
    ]
    return distribution.DistributionSimulator(
        dso, feeders, device_map(ground.table, der, places, dso), avr,
        start + np.array([t.lv_node for t in taps], np.int64), der.curves, faults, responsibility.authorize,
        scenario.time.step_ms,
    )


def _transmission(ground: Ground, told: Beliefs, responsibility: Responsibility) -> TransmissionSimulator:
    """Return the transmission system with its machines under droop and the trips that will come."""
    scenario, case, machines = ground.scenario, ground.case, ground.case.machines
    settings = scenario.control.support_tso_voltage
    rated = machines.values["sn_mva"]
    cell = case.bus_cell[machines.bus]
    fcr = {r.cell: r.fcr_mw for r in scenario.transmission.reserves}
    numbers = cell_numbers(case)
    total = np.bincount(cell, rated, len(case.cells))
    governors = Governors(
        rated / (machines.governor_values["r"] * case.f0_hz),
        np.array([fcr.get(numbers[c], 0.0) for c in cell]) * rated / total[cell], rated,
    )
    system = QuasiSteady(
        MeshedPowerFlow(ground.grid), governors, case.slack, load_nodes(ground.grid, case), ground.interface_node,
        scenario.transmission.self_regulation_percent_per_hz / 100,
    )
    places = ground.places
    plant = Plant(
        machines.names, cell, tuple(i.name for i in places.interfaces),
        {dso: np.array([i.index for i in places.interfaces_of(dso)]) for dso in places.dsos},
        case.bus_cell[case.load_bus], np.array([c.bias_mw_per_hz for c in told.cells]),
        np.array([g.reserve_mw for g in told.generators]), machines.stored_mws,
        scenario.transmission.afrr.full_activation_ms / 1000,
    )
    taps = tap_data(ground.transformers)
    wanted = np.array([t.v_set_pu for t in ground.transformers])
    start = np.rint((ground.plan.v_start_pu / wanted - 1) / (taps.step_percent / 100)).astype(np.int64)
    avr = Avr(taps, wanted, np.clip(start, taps.pos_min, taps.pos_max))
    return TransmissionSimulator(
        system, Ties(case), ground.plan.schedule, plant, avr, ground.static.at, upsets(scenario, case),
        responsibility.authorize, scenario.time.step_ms, f_nominal_hz=case.f0_hz,
        machinery=Machinery(
            case, ground.transformers, np.array([ground.grid.node(bus) for bus in range(case.n_bus)], np.int64),
            branch_elements(case, ground.levels_kv), scenario.transmission.frequency.coupling_ms,
        ),
        dynamic=scenario.transmission.frequency.model == "dynamic",
        wish=Wish(
            ground.plan.v_interface_pu, settings.k_p_mvar_per_pu,
            settings.band_share * np.array([i.p_max_mw for i in told.interfaces]),
        ),
    )


def _nodes(ground: Ground, feeders: dict[str, Feeders]) -> dict[str, tuple[str, slice]]:
    """Return where each feeder's nodes stand: distribution simulator and place in its arrays."""
    return {
        feeder.name: (dso, slice(int(own.node_start[k]), int(own.node_start[k + 1])))
        for dso, own in feeders.items() for k, feeder in enumerate(own.feeders)
    }
