"""What a site knows of: devices, transformers, lines, stations and feeders that an order or an estimate may name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.belief import Belief, FeederBelief
from sims.core.errors import nearest
from sims.core.message import Message

MOVES: Mapping[str, tuple[str, ...]] = {
    "device": ("p_max_mw", "p_set_mw", "q_set_mvar", "droop_mw_per_hz", "inertia_mw_s_per_hz"),
    "trafo": ("v_set_pu", "tap_pos"),
    "line": ("closed",),
}
"""By what each sort of thing is moved."""
_DEVICE = frozenset(("device", *MOVES["device"]))
ESTIMATE = "estimate"
"""Topic of the logbook that tells the voltages of a feeder."""


class Assets:
    """All that one site may name, as it believes the grid to be.

    Parameters
    ----------
    grid : Belief
    """

    def __init__(self, grid: Belief) -> None:
        self._feeders = {feeder.name: feeder for feeder in grid.feeders}
        self._stations = {station.address for station in grid.generators}
        self._interfaces = {interface.name for interface in grid.interfaces}
        index = [feeder.devices.index for feeder in grid.feeders]
        self._device = np.sort(np.concatenate(index)) if index else np.zeros(0, dtype=np.int64)
        self._parts: dict[tuple[str, str], NDArray[Any]] = {}

    def faults(self, messages: Sequence[Any]) -> dict[int, str]:
        """Return which of these orders and estimates name what is not there, by their place, and what; see `fault`.

        Orders to devices are sieved in one go.
        """
        asked, singly = [], []
        for place, message in enumerate(messages):
            values = message.values
            device = values.get("device")
            plain = type(device) is np.ndarray and device.dtype == np.int64 and device.ndim == 1 and len(device) > 0
            if plain and len(values) > 1 and _DEVICE.issuperset(values):
                asked.append(device)
            else:
                singly.append(place)
        if asked and not _among(np.concatenate(asked), self._device).all():
            singly = [*range(len(messages))]
        found = ((place, self.fault(messages[place])) for place in singly)
        return {place: text for place, text in found if text}

    def fault(self, message: Message) -> str:
        """Return what an order or an estimate names that is not there, with the nearest that is; empty if nothing."""
        values = message.values
        if message.topic == ESTIMATE:
            return self._estimate(values)
        if "device" in values:
            return self._named("device", values, self._device, "")
        place = message.receiver
        if place in self._feeders:
            kind = next((kind for kind in ("line", "trafo") if kind in values), "")
            if not kind:
                return f"ordered {_listed(values)} at {place}; name what it is for by device, trafo or line"
            return self._named(kind, values, self._part(place, kind), f" of {place}")
        if place in self._interfaces:
            return _moved({name: v for name, v in values.items() if name != "trafo"}, MOVES["trafo"])
        if place.startswith("gen."):
            if place not in self._stations:
                return f"ordered something of {place}, which is none of its stations{nearest(place, self._stations)}"
            return _moved(values, ("p_delta_mw",))
        return ""

    def _named(self, kind: str, values: Mapping[str, Any], there: NDArray[Any], where: str) -> str:
        """Return what is wrong with an order to things of a kind, of which these are `there`."""
        if text := _moved({name: v for name, v in values.items() if name != kind}, MOVES[kind]):
            return text
        asked = np.atleast_1d(np.asarray(values[kind]))
        if asked.size == 0 or asked.dtype.kind not in "iu":
            return f"ordered {kind} {_shown(asked)}; name one or more by whole numbers"
        unknown = asked[~_among(asked, there)]
        if not unknown.size:
            return ""
        closest = f" (nearest: {there[np.argmin(np.abs(there - unknown[0]))]})" if there.size else ""
        return f"ordered {kind} {_shown(unknown)}{where}, which is none of its own{closest}"

    def _part(self, place: str, kind: str) -> NDArray[Any]:
        """Return the numbers of the transformers or lines of a feeder, ascending."""
        key = place, kind
        if key not in self._parts:
            grid = self._feeders[place].grid
            rows = np.char.startswith(np.asarray(grid.branch_kind, dtype=str), kind)
            self._parts[key] = np.unique(grid.branch_element[rows])
        return self._parts[key]

    def _estimate(self, values: Mapping[str, Any]) -> str:
        """Return what is wrong with the estimate of a feeder's voltages."""
        name = values.get("feeder")
        feeder: FeederBelief | None = self._feeders.get(name) if isinstance(name, str) else None
        if feeder is None:
            return f"estimated feeder '{name}', which is none of its own{nearest(str(name), self._feeders)}"
        if "v_pu" not in values:
            return f"estimated {name} without v_pu"
        count, shape = feeder.grid.n_nodes, np.shape(values["v_pu"])
        if "node" not in values:
            return "" if shape == (count,) else f"estimated {name} with v_pu of shape {shape} for {count} nodes"
        node = np.asarray(values["node"])
        if node.shape != shape or len(shape) != 1:
            return f"estimated {name} with v_pu of shape {shape} for nodes of shape {node.shape}"
        fits = node.dtype.kind in "iu" and (not node.size or (node.min() >= 0 and node.max() < count))
        return "" if fits else f"estimated {name} at nodes outside 0..{count - 1}"


def _among(asked: NDArray[Any], there: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which of `asked` are in `there`, which ascends."""
    if not there.size:
        return np.zeros(asked.shape, dtype=bool)
    found: NDArray[np.bool_] = there[np.minimum(there.searchsorted(asked), there.size - 1)] == asked
    return found


def _moved(values: Mapping[str, Any], may: tuple[str, ...]) -> str:
    """Return what is wrong with the quantities of an order; it moves one or more of these."""
    for name in values:
        if name not in may:
            return f"ordered '{name}', which is not one of {', '.join(may)}{nearest(name, may)}"
    return "" if values else f"ordered nothing; give {' or '.join(may)}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(values) or "nothing"


def _shown(numbers: NDArray[Any]) -> str:
    return ", ".join(str(n) for n in numbers[:3].tolist()) + (" and more" if numbers.size > 3 else "")
