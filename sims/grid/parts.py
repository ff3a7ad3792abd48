"""The parts of a compiled grid: injecting elements, switches and tap tables, all as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import GridError

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Elements:
    """One pandapower table of injecting elements (load, sgen, storage, gen).

    Powers stand as injections (generation and discharge positive, loads negative) with `scaling` applied,
    and are zero where the element is out of service.

    Parameters
    ----------
    kind : str
    index : ndarray of int [element]
        pandapower index.
    node : ndarray of int [element]
    sign : float
        +1 where pandapower counts generation positive, -1 where it counts consumption positive.
    p_mw, q_mvar : ndarray [element]
    scaling : ndarray [element]
    in_service : ndarray of bool [element]
    z_p, i_p, z_q, i_q : ndarray [element]
        Shares of constant impedance and constant current in P and Q [1]; the rest is constant power.
    vm_pu : ndarray [element]
        Voltage set-point of generators, NaN for everything else.
    """

    kind: str
    index: IntArray
    node: IntArray
    sign: float
    p_mw: FloatArray
    q_mvar: FloatArray
    scaling: FloatArray
    in_service: BoolArray
    z_p: FloatArray
    i_p: FloatArray
    z_q: FloatArray
    i_q: FloatArray
    vm_pu: FloatArray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def has_zip(self) -> bool:
        """Tell whether any element depends on voltage."""
        return bool(self.z_p.any() or self.i_p.any() or self.z_q.any() or self.i_q.any())


@dataclass(frozen=True, eq=False)
class Switches:
    """The switch table as arrays.

    Parameters
    ----------
    index : ndarray of int [switch]
        pandapower index.
    bus, element : ndarray of int [switch]
        pandapower bus, and the line, transformer or second bus it switches.
    et : ndarray of str [switch]
        ``l`` line, ``t`` transformer, ``t3`` three-winding transformer, ``b`` bus.
    type : ndarray of str [switch]
        ``CB`` breaker, ``LBS`` load-break switch, ``DS`` disconnector, empty where unknown.
    closed : ndarray of bool [switch]
        State in the net as compiled.
    branch : ndarray of int [switch]
        Row in the branch arrays; -1 for an ideal bus-bus switch.
    end : ndarray of int [switch]
        0 for the from end of that branch, 1 for the to end, -1 for a bus-bus switch.
    node, far_node : ndarray of int [switch]
        Node of `bus`; for a bus-bus switch the node of `element`, else -1.
    """

    index: IntArray
    bus: IntArray
    element: IntArray
    et: NDArray[np.str_]
    type: NDArray[np.str_]
    closed: BoolArray
    branch: IntArray
    end: IntArray
    node: IntArray
    far_node: IntArray

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, eq=False)
class TapTable:
    """Every tap position of one transformer with pandapower's own branch admittances there.

    The series impedance of a low-voltage-side tap changer moves with the position, so all four admittances
    are tabled.

    Parameters
    ----------
    kind : str
        ``trafo`` or ``trafo3w``.
    element : int
        pandapower index.
    branches : ndarray of int
        Branch rows: one, or three for a three-winding transformer.
    positions : ndarray of int [position]
        All positions from lowest to highest; a single one where the transformer has no tap changer.
    initial : int
        Position in the net as compiled.
    neutral : int
    step_percent : float
        Voltage step [%], 0 without tap changer.
    side : str
        ``hv``, ``lv``, ``mv``, or empty.
    hv_node, lv_node : int
    y : ndarray of complex [branch of this transformer, 4, position]
        y_ff, y_ft, y_tf, y_tt [pu].
    """

    kind: str
    element: int
    branches: IntArray
    positions: IntArray
    initial: int
    neutral: int
    step_percent: float
    side: str
    hv_node: int
    lv_node: int
    y: ComplexArray

    def slot(self, position: Any, net: str = "") -> IntArray:
        """Return the column of `y` for each of `position`.

        Raises
        ------
        GridError
            A position beyond the tap changer's range.
        """
        at = np.asarray(position)
        slots: IntArray = np.rint(at).astype(np.int64) - int(self.positions[0])
        if at.size and (not np.all(np.isfinite(at)) or slots.min() < 0 or slots.max() >= len(self.positions)):
            raise GridError(
                f"net {net or '?'}: {self.kind} {self.element}: tap position {at.min()}..{at.max()} is outside "
                f"{self.positions[0]}..{self.positions[-1]}"
            )
        return slots
