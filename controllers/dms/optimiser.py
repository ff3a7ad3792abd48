"""Linear programmes handed to HiGHS as arrays."""

from __future__ import annotations

from functools import lru_cache

import highspy
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TIME_LIMIT_S = 5.0
_SOLVED = (highspy.HighsModelStatus.kOptimal,)


def solve(
    cost: Floats,
    rows: Floats,
    row_lower: Floats,
    row_upper: Floats,
    lower: Floats,
    upper: Floats,
) -> Floats | None:
    """Minimise cost'x subject to row_lower <= rows x <= row_upper, lower <= x <= upper.

    Parameters
    ----------
    cost, lower, upper : array [variable]
    rows : array [row, variable]
    row_lower, row_upper : array [row]

    Returns
    -------
    array [variable], or None where HiGHS finds no optimum.
    """
    table = np.asarray(rows, dtype=np.float64)
    row, column = np.nonzero(table)
    highs = _solver()
    highs.clear()
    _settle(highs)
    highs.passModel(
        len(cost), len(table), len(row), int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), 0.0,
        np.asarray(cost, dtype=np.float64), _bounded(lower), _bounded(upper), _bounded(row_lower),
        _bounded(row_upper), np.searchsorted(row, np.arange(len(table) + 1)).astype(np.int32),
        column.astype(np.int32), table[row, column], np.zeros(len(cost), dtype=np.int32),
    )  # fmt: skip
    highs.run()
    if highs.getModelStatus() not in _SOLVED:
        return None
    found = np.array(highs.getSolution().col_value, dtype=np.float64)
    return np.clip(found, lower, upper)


@lru_cache(maxsize=1)
def _solver() -> highspy.Highs:
    """Return the one solver; making it takes as long as a small programme."""
    return highspy.Highs()


def _settle(highs: highspy.Highs) -> None:
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("time_limit", TIME_LIMIT_S)
    # Some dozen rows that mostly bind leave a presolve little to find.
    highs.setOptionValue("presolve", "off")


def _bounded(values: Floats) -> Floats:
    return np.clip(np.asarray(values, dtype=np.float64), -highspy.kHighsInf, highspy.kHighsInf)
