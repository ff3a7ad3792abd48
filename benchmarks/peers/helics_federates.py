"""The study as HELICS federates: one for each grid, which iterate at each quarter hour until nobody has news.

All federates are threads of one process with HELICS's in-process core, its fastest; it waits outside Python's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import helics as h
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.study import GRIDS, WITHIN_MVA, WITHIN_PU, factors

QUARTER_S = 900.0
Seen = list[NDArray[np.complex128]]


def _federate(name: str) -> Any:
    info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, "inproc")
    h.helicsFederateInfoSetCoreName(info, "study")
    h.helicsFederateInfoSetIntegerProperty(info, h.helics_property_int_max_iterations, 50)
    return h.helicsCreateValueFederate(name, info)


def _iterate(federate: Any, until_s: float) -> bool:
    """Ask for the next quarter hour; tell whether there is news in this one instead."""
    _, state = h.helicsFederateRequestTimeIterative(federate, until_s, h.helics_iteration_request_iterate_if_needed)
    return bool(state == h.helics_iteration_result_iterating)


def _above(federate: Any, grid: Any, steps: int, seen: Seen) -> None:
    publish, kind = h.helicsFederateRegisterGlobalPublication, h.helics_data_type_complex
    says = [publish(federate, f"v{k}", kind) for k in range(GRIDS)]
    hears = [h.helicsFederateRegisterSubscription(federate, f"s{k}") for k in range(GRIDS)]
    h.helicsFederateEnterExecutingMode(federate)
    v = np.ones(GRIDS, np.complex128)
    h.helicsFederateRequestTime(federate, QUARTER_S)
    for step in range(steps):
        while _iterate(federate, (step + 2) * QUARTER_S):
            new = grid.answer(np.array([h.helicsInputGetComplex(one) for one in hears]))
            moved = np.flatnonzero(np.abs(new - v) >= WITHIN_PU)
            v[moved] = new[moved]
            for k in moved.tolist():
                h.helicsPublicationPublishComplex(says[k], float(v[k].real), float(v[k].imag))
        seen.append(v.copy())
    h.helicsFederateDisconnect(federate)


def _below(federate: Any, number: int, grid: Any, steps: int) -> None:
    says = h.helicsFederateRegisterGlobalPublication(federate, f"s{number}", h.helics_data_type_complex)
    hears = h.helicsFederateRegisterSubscription(federate, f"v{number}")
    h.helicsFederateEnterExecutingMode(federate)
    told, v = complex(np.inf), 1.0 + 0j
    h.helicsFederateRequestTime(federate, QUARTER_S)
    for step in range(steps):
        grid.load(factors()[step])
        news = True
        while True:
            if news:
                s = grid.answer(v)
                if not abs(s - told) < WITHIN_MVA:
                    told = s
                    h.helicsPublicationPublishComplex(says, s.real, s.imag)
            if not _iterate(federate, (step + 2) * QUARTER_S):
                break
            news = h.helicsInputIsUpdated(hears)
            if news:
                v = complex(h.helicsInputGetComplex(hears))
    h.helicsFederateDisconnect(federate)


def run(upper: Callable[[], Any], lower: Callable[[int], Any], steps: int) -> Callable[[], Seen]:
    """Build the federation; return what runs it and gives the boundary voltages [step][boundary, pu]."""
    core = h.helicsCreateCore("inproc", "study", f"--federates={GRIDS + 1} --autobroker")
    seen: Seen = []
    above, grid = _federate("above"), upper()
    below = [(_federate(f"below-{k}"), k, lower(k), steps) for k in range(GRIDS)]

    def go() -> Seen:
        threads = [threading.Thread(target=_above, args=(above, grid, steps, seen))]
        threads += [threading.Thread(target=_below, args=args) for args in below]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        h.helicsCoreWaitForDisconnect(core, 10_000)
        h.helicsCleanupLibrary()
        return seen

    return go
