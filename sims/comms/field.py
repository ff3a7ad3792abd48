"""What stands behind the Modbus servers of a run: registers of feeders and DER, and writes that become orders.

A feeder's points are plain registers, floats of 32 bits (IEEE 754, high word first):

==========  =========================================================================================
input 0     time of the values [s], 32 bits; then P [MW], Q [Mvar], f [Hz], lowest and highest voltage
            [pu], highest loading [%], load not served [MW]
input       1000 + 2 k: voltage of node k [pu]; 10 000 + 2 k: loading of line k [%];
            20 000 + 2 k: tap position of transformer k
holding     2 k: voltage that the tap changer of transformer k holds [pu]
coils       k: line k is closed
discrete    k: line k is closed and has voltage at both ends
==========  =========================================================================================
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.comms.modbus import COILS, DISCRETE, DONE, HOLDING, INPUT, NO_ADDRESS, NO_VALUE, REFUSED
from sims.comms.sunspec import BASE, DerMap
from sims.core.message import Message
from sims.core.orders import Action, Authorize

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = ("p_mw", "q_mvar", "f_hz", "vm_min_pu", "vm_max_pu", "loading_max_percent", "unserved_mw")
NODES, LINES, TAPS = 1000, 10_000, 20_000
DUTY = {"p_max_mw": "manage_congestion", "p_set_mw": "manage_congestion", "q_set_mvar": "control_voltage",
        "closed": "restore_supply", "v_set_pu": "control_voltage"}  # fmt: skip
"""Under which duty a write of each quantity acts."""


@dataclass(frozen=True)
class Bench:
    """What all units of a run share: who writes, what may be written, and where accepted orders wait.

    Parameters
    ----------
    actor : callable
        Feeder -> the role's name in whose name Modbus clients act; Modbus itself knows no sender.
    authorize : callable
        The responsibility table; the actuator asks it again.
    orders, refused : deque
        Filled by the server's thread, emptied by the run's.
    """

    actor: Callable[[str], str]
    authorize: Authorize
    orders: deque[Message]
    refused: deque[Action]
    clock: list[int]

    def order(self, feeder: str, receiver: str, values: Mapping[str, Any], quantity: str, ttl_ms: int = 0) -> int:
        """Hold one order against the table; queue it, or write the refusal down."""
        duty, now_ms, actor = DUTY[quantity], self.clock[0], self.actor(feeder)
        rule = self.authorize(actor, duty, feeder, now_ms)
        if rule:
            value = np.asarray(values[quantity], float)
            total = float(value[np.isfinite(value)].sum())
            self.refused.append(Action(now_ms, actor, duty, feeder, quantity, total, value.size, rule))
            return REFUSED
        self.orders.append(Message(actor, receiver, f"command/{duty}", values, now_ms, ttl_ms=ttl_ms))
        return DONE


class DerUnit:
    """One device as a SunSpec map; `device` is its number in the run."""

    def __init__(self, bench: Bench, maps: DerMap, row: int, device: int, feeder: str, gateway: str) -> None:
        self._bench, self._maps, self._row = bench, maps, row
        self._device, self._feeder, self._gateway = device, feeder, gateway

    def blocks(self) -> Mapping[int, Sequence[tuple[int, Sequence[int]]]]:
        """Return the map."""
        return {HOLDING: [(BASE, self._maps.registers[self._row].tolist())]}

    def write(self, table: int, at: int, values: Sequence[int]) -> int:
        """Take a write to the controls of model 704."""
        if table != HOLDING:
            return NO_ADDRESS
        try:
            found = self._maps.written(self._row, at - BASE, values)
        except ValueError:
            return NO_VALUE
        if found is None:
            return NO_ADDRESS
        wishes, after = found
        for wish in wishes:
            order = {"device": np.array([self._device]), wish.quantity: np.array([wish.value])}
            done = self._bench.order(self._feeder, self._gateway, order, wish.quantity, wish.ttl_ms)
            if done != DONE:
                return done
        self._maps.registers[self._row] = after
        return DONE


class FeederUnit:
    """The primary substation of a feeder: its points as plain registers.

    Parameters
    ----------
    lines : ndarray of int
        Their numbers in the grid's own table, in the order of the coils.
    ends : ndarray of int, [2, line]
        The nodes that each line joins.
    trafos : ndarray of int
        Those whose tap changers can be told a voltage.
    """

    def __init__(self, bench: Bench, name: str, nodes: int, lines: Ints, ends: Ints, trafos: Ints) -> None:
        self._bench, self.name, self._lines, self._ends, self._trafos = bench, name, lines, ends, trafos
        self._values: dict[str, Floats] = {
            "points": np.full(len(POINTS), np.nan), "v_pu": np.full(nodes, np.nan),
            "loading": np.full(len(lines), np.nan), "tap": np.full(len(trafos), np.nan),
            "v_set": np.full(len(trafos), np.nan),
        }  # fmt: skip
        self._closed, self._live = [True] * len(lines), [False] * len(lines)
        self._time_s = 0

    def update(
        self, time_s: int, points: Mapping[str, float], v_pu: Floats, loading: Floats, closed: NDArray[np.bool_],
        tap: Floats, v_set: Floats,
    ) -> None:  # fmt: skip
        """Show new values; all of them are replaced at once."""
        self._time_s = time_s
        told = np.array([points.get(name, np.nan) for name in POINTS])
        self._live = (closed & np.isfinite(v_pu[self._ends]).all(axis=0)).tolist()
        self._closed = closed.tolist()
        self._values = {"points": told, "v_pu": v_pu, "loading": loading, "tap": tap, "v_set": v_set}

    def blocks(self) -> Mapping[int, Sequence[tuple[int, Sequence[int]]]]:
        """Return the four tables."""
        shown = self._values
        return {
            COILS: [(0, self._closed)], DISCRETE: [(0, self._live)], HOLDING: [(0, _words(shown["v_set"]))],
            INPUT: [
                (0, [self._time_s >> 16, self._time_s & 0xFFFF, *_words(shown["points"])]),
                (NODES, _words(shown["v_pu"])), (LINES, _words(shown["loading"])), (TAPS, _words(shown["tap"])),
            ],
        }  # fmt: skip

    def write(self, table: int, at: int, values: Sequence[int]) -> int:
        """Take switching orders at the coils, and voltages to hold at the holding registers."""
        if table == COILS:
            if at + len(values) > len(self._lines):
                return NO_ADDRESS
            line = self._lines[at : at + len(values)]
            order = {"line": line, "closed": np.array(values, float)}
            return self._bench.order(self.name, self.name, order, "closed")
        first, odd = divmod(at, 2)
        count, half = divmod(len(values), 2)
        if table != HOLDING or odd or half or first + count > len(self._trafos):
            return NO_ADDRESS
        wanted = np.array(struct.unpack(f">{count}f", struct.pack(f">{2 * count}H", *values)), float)
        if not ((wanted >= 0.8) & (wanted <= 1.2)).all():
            return NO_VALUE
        order = {"trafo": self._trafos[first : first + count], "v_set_pu": wanted}
        return self._bench.order(self.name, self.name, order, "v_set_pu")


def _words(values: Floats) -> list[int]:
    """Return floats as pairs of registers, high word first."""
    words: list[int] = np.asarray(values).astype(">f4").view(">u2").astype(int).tolist()
    return words
