"""A sparse matrix factorised into arrays, as the compiled loops take it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

Factors = tuple[NDArray[Any], ...]


def factors(matrix: csc_matrix) -> Factors:
    """Return Pr A Pc = L U of a square matrix A.

    Returns
    -------
    tuple
        Start, row and value of the columns of L (unit diagonal first), the same of U (diagonal last), then the
        position that each row and each column goes to.
    """
    if not matrix.shape[0]:
        none, start, value = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=complex)
        return start, none, value, start, none, value, none, none
    found = splu(matrix)
    parts: list[NDArray[Any]] = []
    for part in (found.L, found.U):
        part.sort_indices()
        parts += [part.indptr.astype(np.int64), part.indices.astype(np.int64), part.data.astype(np.complex128)]
    return (*parts, found.perm_r.astype(np.int64), found.perm_c.astype(np.int64))
