"""The field protocol of a run: which units stand behind which Modbus server, live or from a run file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controllers.responsibility import Responsibility
from scenarios.ground import Ground
from scenarios.places import FeederPlace
from sims.comms.desk import DSO_PORTS, DerSpan, FeederSpan, FieldDesk, Wait
from sims.comms.field import POINTS, Bench, DerUnit, FeederUnit
from sims.comms.modbus import LOOPBACK, MOST_UNITS, FieldServer, Unit
from sims.comms.sunspec import DerMap
from sims.core.errors import Problem, ScenarioError, nearest
from sims.core.orders import Action, Authorize

if TYPE_CHECKING:
    from results.runfile import Run
    from scenarios.assemble import World
    from sims.distribution.simulator import DistributionSimulator

Stations = Mapping[str, Sequence[Unit]]
Told = Callable[[Mapping[str, int]], None]
"""Called with station -> port once the servers listen."""

NOT_SERVED = ("load", "svc", "statcom", "capacitor")


def attach(
    world: World, ground: Ground, responsibility: Responsibility, feeders: Sequence[str], actor: str, wait: Wait
) -> Stations:
    """Add the field protocol of some feeders to an assembled run; return its stations.

    Unit 1 of a station is the feeder, the others its DER (those with remote control, in the order of the
    device table, as many as Modbus has numbers for).

    Parameters
    ----------
    actor : str
        In whose name Modbus clients write; empty: the control centre of the feeder's DSO.
    """
    names = [f.name for f in ground.places.feeders]
    chosen = _chosen(feeders, names)
    if actor and actor not in responsibility.roles:
        who = nearest(actor, responsibility.roles)
        raise ScenarioError([Problem("serve-rtu", "as", f"'{actor}' is nobody in this run{who}")])
    dso_of = {f.name: f.entry.dso for f in ground.places.feeders}
    bench = _bench(lambda feeder: actor or f"{dso_of[feeder]}.dms", responsibility.authorize)
    stations: dict[str, list[Unit]] = {}
    spans: list[FeederSpan] = []
    ders: list[DerSpan] = []
    for place in ground.places.feeders:
        if place.name not in chosen:
            continue
        simulator: DistributionSimulator = world.harness.bridges[place.entry.dso].model  # type: ignore[assignment]
        span = _feeder(bench, place, simulator)
        units, der = _ders(bench, ground, place)
        spans.append(span)
        ders.append(der)
        stations[place.name] = [span.unit, *units]
    desk = FieldDesk(bench, spans, ders, ground.scenario.time.step_ms, wait)
    _join(world, desk, ground)
    return stations


def _feeder(bench: Bench, place: FeederPlace, simulator: DistributionSimulator) -> FeederSpan:
    own = simulator.feeders
    k = [f.name for f in own.feeders].index(place.name)
    grid = own.feeders[k].grid
    row = np.flatnonzero(grid.branch_kind == "line")
    trafos = np.array([grid.taps[t].element for t in own.regulated[k]], np.int64)
    ends = np.stack([grid.branch_from[row], grid.branch_to[row]]).astype(np.int64)
    unit = FeederUnit(bench, place.name, grid.n_nodes, grid.branch_element[row].astype(np.int64), ends, trafos)
    return FeederSpan(
        unit, place.entry.dso, k, slice(int(own.node_start[k]), int(own.node_start[k + 1])),
        int(own.branch_start[k]) + row, slice(int(own.tap_start[k]), int(own.tap_start[k + 1])),
        lambda: own.states[k].closed[row].copy(),
    )


def _ders(bench: Bench, ground: Ground, place: FeederPlace) -> tuple[list[Unit], DerSpan]:
    table, dso = ground.table, place.entry.dso
    here = (table.feeder == place.number) & table.remote & ~np.isin(table.kind, NOT_SERVED)
    device = np.flatnonzero(here)[: MOST_UNITS - 1]
    own = np.searchsorted(table.of_dso(ground.places.dsos.index(dso)), device)
    node = table.node[device]
    maps = DerMap(
        table.name[device].tolist(), table.kind[device].tolist(), table.p_rated_mw[device], table.s_rated_mva[device],
        place.plan.grid.vn_kv[node],
    )
    units: list[Unit] = [
        DerUnit(bench, maps, row, int(number), place.name, place.gateways[int(node[row])] or place.name)
        for row, number in enumerate(device)
    ]
    return units, DerSpan(maps, dso, own, device, np.full(device.size, ground.cell_of_dso[dso]))


def _join(world: World, desk: FieldDesk, ground: Ground) -> None:
    """Connect the desk: it sees an instant when it is settled, and what it passes on counts from the next one."""
    harness = world.harness
    harness.add("field", desk)
    for port in desk.ports.writes:
        simulator = port.removeprefix("to_")
        harness.connect("field", port, simulator, "commands", shifted=True, initial=())
    for dso in ground.places.dsos:
        for port in DSO_PORTS:
            harness.connect(dso, port, "field")
    harness.connect("der", "p_avail_mw", "field")
    harness.connect("transmission", "f_hz", "field")
    harness.connect("field", "actions", "recorder")


def serve_run(
    ground: Ground, responsibility: Responsibility, world: World, wait: Wait, told: Told, *,
    feeders: Sequence[str] = (), actor: str = "", bind: str = LOOPBACK, port: int = 5020,
) -> FieldServer:
    """Return the server of an assembled run; enter it before the run starts. `told` hears the ports."""
    return _Told(attach(world, ground, responsibility, feeders, actor, wait), bind, port, told)


class _Told(FieldServer):
    """Says which ports it has got as soon as it listens."""

    def __init__(self, stations: Stations, bind: str, port: int, told: Told) -> None:
        super().__init__(stations, bind=bind, port=port)
        self._told = told

    def __enter__(self) -> FieldServer:
        super().__enter__()
        self._told(self.ports)
        return self


def replay(
    path: Path, wait: Wait, told: Told, *, feeders: Sequence[str] = (), bind: str = LOOPBACK, port: int = 5020
) -> None:
    """Serve the feeders of a finished run, instant after instant; nothing can be written to what has happened."""
    from results.runfile import Run

    with Run(path) as run:
        bench = _bench(lambda feeder: "", lambda *_: "a finished run cannot be changed")
        chosen = _chosen(feeders, run.labels("feeder"))
        shown = {name: _Replayed(run, name, bench) for name in run.labels("feeder") if name in chosen}
        stations: Stations = {name: [one.unit] for name, one in shown.items()}
        with _Told(stations, bind, port, told):
            for second in run.seconds("feeder"):
                for one in shown.values():
                    one.show(float(second))
                wait(round(second * 1000))


class _Replayed:
    """One feeder of a run file; each kind of thing as it stood in its newest row."""

    def __init__(self, run: Run, name: str, bench: Bench) -> None:
        self._run, self._number = run, run.labels("feeder").index(name)
        self._at = {kind: np.flatnonzero(run.static(kind, "feeder") == name) for kind in ("bus", "line", "trafo")}
        self._points = [name for name in POINTS if run.has("feeder", name)]
        self._cell = run.labels("cell").index(f"cell_{run.static('feeder', 'cell')[self._number]}")
        tap = run.part("trafo", "tap_pos", slice(0, 1))[0]
        self._at["trafo"] = np.array([k for k in self._at["trafo"] if np.isfinite(tap[k])], np.int64)
        lines = [int(run.labels("line")[k].rsplit(".l", 1)[1]) for k in self._at["line"]]
        numbers = [int(run.labels("trafo")[k].rsplit(".t", 1)[1]) for k in self._at["trafo"]]
        node = {run.labels("bus")[bus]: k for k, bus in enumerate(self._at["bus"])}
        both = [run.static("line", end)[self._at["line"]] for end in ("from_bus", "to_bus")]
        ends = np.array([[node[bus] for bus in end] for end in both])
        self.unit = FeederUnit(
            bench, name, self._at["bus"].size, np.array(lines), ends.astype(np.int64), np.array(numbers, np.int64)
        )

    def show(self, second: float) -> None:
        """Show the instant; a run file has no switches and set-points: all lines read as closed, set-points as NaN."""
        points = {name: float(self._row("feeder", name, second)[self._number]) for name in self._points}
        points["f_hz"] = float(self._row("cell", "f_hz", second)[self._cell])
        loading = self._row("line", "loading_percent", second)[self._at["line"]]
        tap = self._row("trafo", "tap_pos", second)[self._at["trafo"]]
        self.unit.update(
            int(second), points, self._row("bus", "vm_pu", second)[self._at["bus"]], loading,
            np.ones(loading.size, np.bool_), tap, np.full(tap.size, np.nan),
        )

    def _row(self, kind: str, quantity: str, second: float) -> NDArray[Any]:
        at = max(int(np.searchsorted(self._run.seconds(kind), second, side="right")) - 1, 0)
        found: NDArray[Any] = self._run.part(kind, quantity, slice(at, at + 1))[0]
        return found


def _bench(actor: Callable[[str], str], authorize: Authorize) -> Bench:
    refused: deque[Action] = deque()
    return Bench(actor, authorize, deque(), refused, [0])


def _chosen(feeders: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """Return the feeders asked for, all if none was."""
    wrong = [
        Problem("serve-rtu", "feeder", f"there is no feeder '{name}'{nearest(name, known)}")
        for name in feeders if name not in known
    ]
    if wrong:
        raise ScenarioError(wrong)
    return feeders or known
