"""What a law inside a device is, as the DER simulator sees it; the laws themselves live with the controllers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sims.der.fleet import picked
from sims.grid.curve import Curve

Array = NDArray[np.float64]


@dataclass
class Terminal:
    """What devices measure at their terminals, and what they are about to feed in; shape [device].

    Injections are positive. `p_up_mw` and `p_dn_mw` (>= 0) are how far active power can rise and fall, with
    state of charge and plug counted; `droop_mw_per_hz` and `inertia_mw_s_per_hz` are a droop and a gain against
    the slope of frequency that are ordered from outside, nan where none is.
    """

    v_pu: Array
    f_hz: Array
    rocof_hz_s: Array
    p_mw: Array
    q_mvar: Array
    p_avail_mw: Array
    p_rated_mw: Array
    s_rated_mva: Array
    soc: Array
    p_up_mw: Array
    p_dn_mw: Array
    droop_mw_per_hz: Array
    inertia_mw_s_per_hz: Array


class View:
    """The terminals of some of the devices; a column is cut out only when a law asks for it."""

    def __init__(self, whole: Terminal, devices: NDArray[np.int64]) -> None:
        self.whole, self.pick = whole, picked(devices)
        self.p_rated_mw: Array = whole.p_rated_mw[self.pick]
        self.s_rated_mva: Array = whole.s_rated_mva[self.pick]


def _cut(column: str) -> property:
    return property(lambda view: getattr(view.whole, column)[view.pick])


for _column in fields(Terminal):
    if _column.name not in ("p_rated_mw", "s_rated_mva"):
        setattr(View, _column.name, _cut(_column.name))


class Law(Protocol):
    """A rule inside devices, without communication, for all devices of a group at once.

    `duty` is the duty of the responsibility table that it serves; `acts_on` says against what it is
    evaluated: ``power`` (in the step, from P alone), ``voltage`` or ``frequency`` (with the power flow),
    ``terminal`` (in the step and while frequency moves fast, from all that is measured); `quantity` is what it
    moves, ``p_mw`` or ``q_mvar``. A law that takes devices off the grid says so in an array `off`, [device].
    """

    name: str
    duty: str
    acts_on: str
    quantity: str

    def respond(self, terminal: Any, dt_s: float) -> tuple[Array, Array]:
        """Return active and reactive power [MW, Mvar] under this law, `dt_s` [s] after the last call."""
        ...

    def curve(self, dt_s: float) -> Curve | None:
        """Return the characteristic that the power flow solves in a step of `dt_s`, None without one."""
        ...

    def settle(self, terminal: Any, dt_s: float) -> tuple[Array, Array]:
        """Return base and amplitude of `quantity` for the coming step, `dt_s` after the last one.

        The device feeds base + amplitude x curve. Only asked of laws with a characteristic.
        """
        ...

    def get_state(self) -> dict[str, Any]:
        """Return memory (filters, frozen powers) for a restart."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        ...


@dataclass(frozen=True)
class Bound:
    """A law and the devices that carry it (rising global indices); earlier ones in a list act first."""

    law: Law
    devices: NDArray[np.int64]


Laws = Sequence[Bound]


def promised(laws: Laws, p_rated_mw: Array, droop_mw_per_hz: Array) -> Array:
    """Return the reserve that laws of each device keep [MW]: a law that keeps one says so by `promise`."""
    out = np.zeros_like(p_rated_mw)
    for bound in laws:
        promise, k = getattr(bound.law, "promise", None), bound.devices
        if promise is not None:
            out[k] += promise(p_rated_mw[k], droop_mw_per_hz[k])
    return out


