"""Taps: where what is recorded comes from, and how it gets to its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ModelError
from sims.core.ports import Inputs

_NOTHING: Mapping[str, Any] = {}

Rows = dict[str, NDArray[Any]]
"""The newest row of each kind, shape (quantities, labels)."""


@dataclass(frozen=True)
class Tap:
    """Where one recorded quantity comes from.

    Parameters
    ----------
    port : str
        State port that carries it: an array, or a mapping of quantity to array.
    kind, quantity : str
        Where it is written.
    sources : mapping of str to int array or None
        Simulator -> which of the kind's labels its array fills; None: all of them. Labels that no
        source fills are NaN.
    """

    port: str
    kind: str
    quantity: str
    sources: Mapping[str, NDArray[np.int_] | None]


class Taps:
    """All taps of the kinds of one pace: what their sources have, laid end to end, is dealt out in one go.

    Parameters
    ----------
    kinds : mapping of str to (sequence of str, int)
        Kind -> its quantities, and how many labels it has.
    taps : sequence of Tap
        Those of other kinds are left out.
    """

    def __init__(self, kinds: Mapping[str, tuple[Sequence[str], int]], taps: Iterable[Tap]) -> None:
        self._values = np.full(sum(len(quantities) * count for quantities, count in kinds.values()), np.nan)
        self._rows, cells = _by_kind(self._values, kinds), _by_kind(np.arange(self._values.size), kinds)
        by_source: dict[tuple[str, str], list[tuple[Tap, NDArray[np.int_]]]] = {}
        for tap in taps:
            if tap.kind in kinds:
                line = cells[tap.kind][list(kinds[tap.kind][0]).index(tap.quantity)]
                for source, index in tap.sources.items():
                    where = line if index is None else line[index]
                    by_source.setdefault((tap.port, source), []).append((tap, where))
        self._sources = [
            (port, source, [tap.quantity for tap, _ in parts], [np.full(len(where), np.nan) for _, where in parts])
            for (port, source), parts in by_source.items()
        ]
        self._parts = [(source, tap) for (_, source), parts in by_source.items() for tap, _ in parts]
        places = [where for parts in by_source.values() for _, where in parts]
        self._sizes = [len(where) for where in places]
        self._found = np.full(sum(self._sizes) + 1, np.nan)  # the last one stands for what no source fills
        self._order = np.full(self._values.size, sum(self._sizes))
        self._order[np.concatenate([np.zeros(0, int), *places])] = np.arange(sum(self._sizes))

    def take(self, now_ms: int, inputs: Inputs) -> Rows:
        """Return the rows as the newest state gives them, the same arrays each time; what nobody has said is NaN.

        Raises
        ------
        ModelError
            A source has other than a number for each of its labels.
        """
        pieces: list[Any] = []
        for port, source, quantities, unknown in self._sources:
            found = inputs.get(port, _NOTHING).get(source)
            if found is None:
                pieces += unknown
            elif isinstance(found, np.ndarray):
                pieces += [found] * len(unknown)
            else:
                pieces += map(found.get, quantities, unknown)
        try:
            if fits := list(map(len, pieces)) == self._sizes and bool(pieces):
                np.concatenate(pieces, out=self._found[:-1])
        except (TypeError, ValueError):
            fits = False
        if not fits and pieces:
            raise self._unfit(now_ms, pieces)
        self._found.take(self._order, out=self._values, mode="clip")
        return self._rows

    def _unfit(self, now_ms: int, pieces: Sequence[Any]) -> ModelError:
        """Return what is wrong with the first piece that does not fit."""
        arrays = [np.asarray(piece) for piece in pieces]
        fit = [a.shape == (size,) and a.dtype.kind in "fiub" for a, size in zip(arrays, self._sizes, strict=True)]
        k = fit.index(False)
        (source, tap), given = self._parts[k], arrays[k]
        of = "" if given.dtype.kind in "fiub" else f" of type {given.dtype}"
        got = f"port '{tap.port}' of {source} has shape {given.shape}{of}"
        return ModelError("recorder", now_ms, f"{got}; {tap.kind}.{tap.quantity} takes {self._sizes[k]} values of it")


def _by_kind(values: NDArray[Any], kinds: Mapping[str, tuple[Sequence[str], int]]) -> Rows:
    """Return the parts of `values` that belong to each kind, shape (quantities, labels)."""
    found, start = {}, 0
    for kind, (quantities, count) in kinds.items():
        stop = start + len(quantities) * count
        found[kind] = values[start:stop].reshape(len(quantities), count)
        start = stop
    return found
