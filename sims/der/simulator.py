"""All devices of all distribution grids as one model: profiles and orders in, injections out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.core.clock import MS_PER_H, MS_PER_S, is_tick, next_tick
from sims.core.errors import ModelError
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, given, items
from sims.der.dispatch import Dispatch
from sims.der.ev import EvFleet, EvSettings
from sims.der.fleet import COMPENSATION, DeviceFleet, DeviceTable, picked
from sims.der.heatpump import HeatPumps
from sims.der.law import Laws, promised
from sims.der.lawbook import SLOTS, LawBook
from sims.der.meter import FrequencyMeter
from sims.der.profiles import Profiles
from sims.der.sessions import Behaviour, Sessions, drawn, zoned
from sims.der.setpoints import SetPoints
from sims.der.step_kernels import added, inside, spread, supplied
from sims.der.storage import Storage, StorageSettings
from sims.der.trading import traded

Array = NDArray[np.float64]
_DARK_PU = 0.1


@dataclass(frozen=True)
class DerSettings:
    """What holds for all devices; each value may be set by a scenario."""

    f0_hz: float = 50.0
    ramp_share_per_s: float = 0.0066
    trace_mw: float = 0.05
    meter_window_s: float = 0.1
    q_first: bool = False
    timezone: str = "Europe/Berlin"
    storage: StorageSettings = field(default_factory=StorageSettings)
    ev: EvSettings = field(default_factory=EvSettings)
    behaviour: Behaviour = field(default_factory=Behaviour)


class DerSimulator:
    """Steps every device on the grid of `step_ms`; orders are taken whenever they arrive.

    Parameters
    ----------
    table : DeviceTable
    profiles : Profiles
        Has to cover `until_ms`.
    sources : mapping of str to ndarray of int
        Distribution simulator -> indices of the devices it reports on, in its order.
    laws : sequence of Bound
        In the order in which they act.
    authorize : callable
        The responsibility table, asked for every order that arrives.
    step_ms, until_ms, seed : int
    cell_of_dso : ndarray of int, optional
        Which entry of ``f_hz`` holds for each DSO; the DSO's own number if left out.
    place : ndarray of int, [device], optional
        Where an answer to moving frequency is summed: numbers of interfaces; the DSO's if left out.
    sessions : Sessions, optional
        Stays of the vehicles; drawn from the behaviour in `settings` if left out.

    Notes
    -----
    A device feeds ``p_mw + pu_mw * curve_pu(U) + pf_mw * curve_pf(f)`` and ``q_mvar + qu_mvar * curve_qu(U)``,
    where the curves are solved with the power flow; what came of it returns on ``p_real_mw``.
    """

    ports = Ports(
        reads=("v_pu", "p_real_mw", "f_hz", "commands"),
        hears=("fast",),
        writes=("p_mw", "q_mvar", "pu_mw", "qu_mvar", "pf_mw", "p_avail_mw", "energy", "storage", "acts", "fast_mw"),
        tells=("alarms",),
        finite=("p_mw", "q_mvar", "pu_mw", "qu_mvar", "pf_mw", "p_avail_mw", "fast_mw"),
    )

    def __init__(
        self, table: DeviceTable, profiles: Profiles, *, sources: Mapping[str, NDArray[np.int64]],
        laws: Laws, authorize: Authorize, step_ms: int, until_ms: int, seed: int = 0,
        cell_of_dso: NDArray[np.int64] | None = None, settings: DerSettings | None = None,
        sessions: Sessions | None = None, place: NDArray[np.int64] | None = None,
    ) -> None:
        self.table, self.profiles = table, profiles.covering(until_ms)
        self.step_ms, self.settings = step_ms, settings or DerSettings()
        self._sources = {name: np.asarray(index, dtype=np.int64) for name, index in sources.items()}
        fleet = DeviceFleet(table, profiles.names)
        start = zoned(profiles.start, self.settings.timezone)
        stays = sessions or drawn(
            table, seed=seed, start=start, until_ms=until_ms, behaviour=self.settings.behaviour
        )
        s, e, h = (fleet.index[kind] for kind in ("storage", "ev", "heatpump"))
        self.dispatch = Dispatch(
            fleet,
            Storage(
                table.p_rated_mw[s], table.e_rated_mwh[s], table.soc_start[s], fleet.behind[s], self.settings.storage
            ),
            EvFleet(stays, table.plug_mw[e], table.strategy[e], start, self.settings.ev),
            HeatPumps(table.p_rated_mw[h], table.e_rated_mwh[h], table.soc_start[h]),
            self.settings.ramp_share_per_s,
        )
        self._promise(laws)
        self.setpoints = SetPoints(table, authorize)
        self.meter = FrequencyMeter(self.settings.meter_window_s)
        cells = np.arange(len(table.dso_names)) if cell_of_dso is None else np.asarray(cell_of_dso)
        self._cell = cells[table.dso]
        self._place = table.dso if place is None else np.asarray(place, np.int64)
        self._places = int(self._place.max(initial=-1)) + 1
        count = len(table)
        self._inverters = picked(np.flatnonzero(~np.isin(table.kind, ("load", *COMPENSATION))))
        self.v_pu, self.f_hz = np.ones(count), np.full(count, self.settings.f0_hz)
        self._v_known, self._lit = np.ones(count), np.ones(count, dtype=bool)
        self.p_real_mw = np.zeros(count)
        self.out: dict[str, Array] = {name: np.zeros(count) for name in ("p", "q", *SLOTS.values())}
        self.laws = LawBook(
            table, laws, self.v_pu, self.f_hz, step_s=step_ms / 1000, trace_mw=self.settings.trace_mw
        )
        self.curves, index = self.laws.curves, self.laws.index
        self.curve_pu, self.curve_qu, self.curve_pf = index["pu"], index["qu"], index["pf"]
        self._booked_ms = 0
        self._tick_ms = self._awaited_ms = -1
        self._fast_base: Array | None = None
        self._fast_s = 0.0
        self._fed: tuple[Array, Array] | None = None

    def _promise(self, laws: Laws) -> None:
        """Tell the batteries which reserve their laws offer, and what to trade if they go by price."""
        store, k = self.dispatch.storage, self.dispatch.fleet.index["storage"]
        self._keeping = [bound for bound in laws if hasattr(bound.law, "promise")]
        self._droops = False
        store.reserve_mw = promised(self._keeping, self.table.p_rated_mw, np.full(len(self.table), np.nan))[k]
        if store.settings.schedule == "price":
            price = [self.dispatch.ev.price_at(hour) for hour in range(-(-self.profiles.end_ms // MS_PER_H))]
            store.follow(traded(store, self.table.soc_start[k], np.array(price)))

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Book what happened, hear orders, and on the grid of `step_ms` plan the coming step.

        While frequency moves, `fast` brings it between two grid steps; the answer by place goes out on `fast_mw`.
        """
        told = items(inputs, "fast")
        fast: dict[str, Any] = {"fast_mw": self._answer(*told[-1])} if told else {}
        if told or now_ms == self._awaited_ms:
            # the next step is named as the moment at which frequency comes again: one far off would leave a waiter
            # behind in the scheduler each time
            after = next_tick(now_ms, self.step_ms)
            self._awaited_ms = min(after, now_ms + round(told[-1][2] * MS_PER_S)) if told else -1
            if not (is_tick(now_ms, self.step_ms) and now_ms != self._tick_ms):
                return Step(self._awaited_ms if told else after, fast)
        self._measure(now_ms, inputs)
        self._fast_base = self._fed = None
        self.dispatch.book(self.p_real_mw, now_ms - self._booked_ms)
        self._booked_ms = now_ms
        actions = self.setpoints.obey(items(inputs, "commands"), now_ms)
        outputs: dict[str, Any] = dict(fast)
        if is_tick(now_ms, self.step_ms) and now_ms != self._tick_ms:
            actions += self.laws.moved(self.out, self._v_known, now_ms)
            actions += self._plan(now_ms)
            if self.setpoints.lapsed:
                outputs["alarms"] = [_lapse(now_ms, *one) for one in self.setpoints.lapsed]
            d, o, storage = self.dispatch, self.out, self.dispatch.fleet.index["storage"]
            outputs |= {
                "acts": tuple(actions),
                "p_mw": given(o["p"]), "q_mvar": given(o["q"]), "pu_mw": given(o["pu"]), "qu_mvar": given(o["qu"]),
                "pf_mw": given(o["pf"]), "p_avail_mw": given(d.p_avail_mw), "energy": self._energy_by_feeder(),
                "storage": {"p_mw": o["p"][storage], "soc_mwh": d.storage.e_mwh.copy()},
            }
            self._tick_ms = now_ms
        return Step(next_tick(now_ms, self.step_ms), outputs)

    def _measure(self, now_ms: int, inputs: Inputs) -> None:
        """Take over what the distribution simulators realised; where nothing has come, what was planned."""
        for port, whole in (("v_pu", self.v_pu), ("p_real_mw", self.p_real_mw)):
            for source, values in inputs.get(port, {}).items():
                index = self._sources.get(source)
                if index is None:
                    known = ", ".join(self._sources)
                    raise ModelError("der", now_ms, f"{port} comes from '{source}', known are {known}")
                if values is None:
                    continue
                told = np.asarray(values, dtype=np.float64)
                if told.shape != index.shape:
                    raise ModelError(
                        "der", now_ms, f"{port} from '{source}' has {told.shape} values for {index.shape} devices"
                    )
                spread(told, index, whole, port != "v_pu")
        supplied(self.v_pu, _DARK_PU, self._lit, self._v_known)
        for values in inputs.get("f_hz", {}).values():
            if values is not None:
                self.f_hz[...] = np.asarray(values, dtype=np.float64)[self._cell]

    def _plan(self, now_ms: int) -> list[Action]:
        """Set base and amplitudes of all devices for the coming step; return what laws began or ended."""
        d, elapsed_ms = self.dispatch, 0 if self._tick_ms < 0 else now_ms - self._tick_ms
        held = self.setpoints.at(now_ms)
        d.v_pu = self._v_known
        droops, k = self.setpoints.busy["droop_mw_per_hz"], d.fleet.index["storage"]
        if droops or self._droops:  # an ordered droop stands in for what the laws offer by themselves
            d.storage.reserve_mw = promised(self._keeping, self.table.p_rated_mw, held["droop_mw_per_hz"])[k]
        self._droops = droops
        d.plan(now_ms, self.step_ms, elapsed_ms, self.profiles.at(now_ms), held, self.setpoints.busy)
        if self._fast_s < elapsed_ms / 1000:
            self.meter.reset()  # frequency has not moved without a break: what was seen is old
        dt_s = max(elapsed_ms / 1000 - self._fast_s, 0.0)  # laws that moved fast have had that time already
        self._fast_s = 0.0
        ordered = ~np.isnan(held["q_set_mvar"]) if self.setpoints.busy["q_set_mvar"] else None
        p, q, swing, actions = self.laws.answer(d, held, ordered, self._v_known, dt_s, now_ms)
        self._inside(p, q, swing["qu"])
        self.out = {"p": p, "q": q, **swing}
        self.p_real_mw[...] = p  # until a distribution simulator reports what it made of it
        return actions

    def _energy_by_feeder(self) -> dict[str, Array]:
        """Return what storages hold and have given back, and what vehicles have left without, [feeder]."""
        d, feeder = self.dispatch, self.table.feeder
        storage, ev = d.fleet.index["storage"], d.fleet.index["ev"]
        soc, discharged, unmet = np.zeros((3, len(self.table.feeder_names)))
        return {
            "storage_soc_mwh": added(feeder[storage], d.storage.e_mwh, soc),
            "storage_discharged_mwh": added(feeder[storage], d.storage.discharged_mwh, discharged),
            "ev_unmet_mwh": added(feeder[ev], d.ev.unmet_mwh, unmet),
        }

    def _inside(self, p: Array, q: Array, swing_q: Array) -> None:
        """Keep inverters inside their apparent power, in place; loads have none.

        With `q_first` the whole swing of Q(U) is kept free, whatever the voltage will ask of it.
        """
        own, s_mva = self._inverters, self.table.s_rated_mva
        if isinstance(own, slice):
            inside(p[own], q[own], swing_q[own], s_mva[own], self.settings.q_first)
            return
        columns = p[own], q[own], swing_q[own]
        inside(*columns, s_mva[own], self.settings.q_first)
        p[own], q[own], swing_q[own] = columns

    def respond_fast(self, f_hz: Array, dt_s: float) -> Array:
        """Return the change of active power by device while frequency moves [MW].

        To be added to the injections in place of ``pf_mw * curve_pf(f)``: measurement window, lags, freezing,
        trips, droop and synthetic inertia in the time domain.

        Parameters
        ----------
        f_hz : ndarray, [cell]
            Held for `dt_s` [s], typically 20 ms.
        """
        mean, slope = self.meter.measure(np.asarray(f_hz, dtype=np.float64), dt_s)
        if self._fast_base is None:
            at_voltage = self.laws.at_voltage(self.out["p"], self.out["pu"], self._v_known)
            self._fast_base = np.where(self._lit, at_voltage, 0.0)
        self._fast_s += dt_s
        after = self.laws.follow(self._fast_base, mean[self._cell], slope[self._cell], dt_s)
        return after - self._fast_base

    def _answer(self, f_hz: Array, fed_hz: Array, dt_s: float) -> Array:
        """Return what devices feed at `f_hz` [cell] beyond what their characteristics give at `fed_hz`, by place [MW].

        The feeders were solved at `fed_hz` with those characteristics.
        """
        answer, count = self.respond_fast(f_hz, dt_s), self._places
        if self._fed is None or not np.array_equal(self._fed[0], fed_hz):
            known = np.where(self._lit, self.laws.at_frequency(self.out["pf"], fed_hz[self._cell]), 0.0)
            self._fed = fed_hz.copy(), summed(self._place, known, count)
        return summed(self._place, answer, count) - self._fed[1]

    def get_state(self) -> dict[str, Any]:
        """Return energies, set-points, the memory of the laws and what holds in the present step."""
        arrays = {name: getattr(self, name).copy() for name in ("v_pu", "f_hz", "p_real_mw")}
        return {
            **arrays, "dispatch": self.dispatch.get_state(), "setpoints": self.setpoints.get_state(),
            "laws": self.laws.get_state(),
            "out": {name: values.copy() for name, values in self.out.items()},
            "booked_ms": self._booked_ms, "tick_ms": self._tick_ms, "awaited_ms": self._awaited_ms,
            "fast_base": self._fast_base, "fast_s": self._fast_s, "fed": self._fed, "meter": self.meter.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        for name in ("v_pu", "f_hz", "p_real_mw"):
            getattr(self, name)[...] = state[name]
        self.dispatch.set_state(state["dispatch"])
        self.setpoints.set_state(state["setpoints"])
        self.laws.set_state(state["laws"])
        self.out = {name: np.array(values) for name, values in state["out"].items()}
        self._booked_ms, self._tick_ms, self._awaited_ms = state["booked_ms"], state["tick_ms"], state["awaited_ms"]
        self._fast_base, self._fast_s, self._fed = state["fast_base"], state["fast_s"], state["fed"]
        self.meter.set_state(state["meter"])


def _lapse(now_ms: int, feeder: str, quantity: str, sender: str, count: int) -> tuple[int, str, str, str, float]:
    """Return the alarm that orders have run out: when, where, of which sort, in words, how many."""
    text = f"{sender}'s orders of {quantity} have run out: {count} devices follow their own laws"
    return now_ms, feeder, "expired", text, float(count)
