"""The pictures of all areas of a host side by side: what each shows of its own area, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controllers.distributed.area import column
from controllers.distributed.extremes import Extremes

if TYPE_CHECKING:
    from controllers.distributed.picture import Picture

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PARTS = ("own_pu", "above_pu", "below_pu", "own_s")
"""Arrays of `Extremes` that stand in the tables, each picture's a part of them."""


class Wall:
    """Pictures that hang side by side, so that one pass looks at all of them; none shows anything of another's area.

    Attributes
    ----------
    pictures : list of Picture
    changed : list of int
        Places at which something has been measured that has not been read into the tables yet.
    start : ndarray of int [picture + 1]
        Where each one's own voltages begin.
    own_pu, above_pu, below_pu : ndarray [source]
        Of `Extremes`.
    own_s : ndarray [picture]
    most_mva : ndarray [picture]
        Largest P or Q on a line at the edge of the area, of either sign, NaN where none is metered.
    p_mw, loading_percent, v_set_pu : ndarray [source]
        What the primary substation tells of the transformer above each busbar, NaN where it tells nothing.
    """

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.start: Ints = np.zeros(1, dtype=np.int64)
        for name in PARTS:
            setattr(self, name, np.zeros(0))
        self.most_mva = np.zeros(0)
        self.p_mw, self.loading_percent, self.v_set_pu = np.zeros(0), np.zeros(0), np.zeros(0)
        self.changed: list[int] = []

    own_pu: Floats
    above_pu: Floats
    below_pu: Floats
    own_s: Floats

    def __deepcopy__(self, memo: Any) -> None:
        """Return nothing: who is copied takes a picture of its own along, and it is hung anew."""

    def hang(self, pictures: Iterable[Picture]) -> None:
        """Add pictures that do not hang here yet."""
        self.pictures += [picture for picture in pictures if picture.wall is not self]
        volts = [picture.volts for picture in self.pictures]
        for name in PARTS:
            table = np.concatenate([getattr(one, name) for one in volts])
            setattr(self, name, table)
            at = 0
            for one in volts:
                size = len(getattr(one, name))
                setattr(one, name, table[at : at + size])
                at += size
        self.start = np.cumsum([0, *(len(one.own_pu) for one in volts)])
        for place, picture in enumerate(self.pictures):
            picture.wall, picture.place = self, place
        self.changed = list(range(len(self.pictures)))
        self.most_mva = np.full(len(self.pictures), math.nan)
        self.p_mw, self.loading_percent, self.v_set_pu = (np.full(len(self.own_pu), math.nan) for _ in range(3))

    def look(self, places: Iterable[int]) -> None:
        """Take in what has been put up at some places since they were looked at last."""
        for picture in map(self.pictures.__getitem__, places):
            if picture.mail:
                picture.look()
        if self.changed:
            changed, self.changed = list(dict.fromkeys(self.changed)), []
            self._edges(changed)
            self._busbars([place for place in changed if self.pictures[place].primary is not None])

    def _edges(self, places: list[int]) -> None:
        """Read the flows over the lines at the edges of these areas."""
        own = [self.pictures[place].own for place in places]
        told: list[Mapping[str, Any]] = [message.values if message is not None else {} for message in own]
        lined = [i for i, values in enumerate(told) if np.size(values.get("boundary_p_mw", ()))]
        most = np.array([0.0 if "boundary_line" in values else math.nan for values in told])
        if lined:
            p_mw, q_mvar = (np.concatenate([told[i][f"boundary_{name}"] for i in lined]) for name in ("p_mw", "q_mvar"))
            ends = list(accumulate(len(told[i]["boundary_p_mw"]) for i in lined))
            most[lined] = np.maximum.reduceat(np.maximum(np.abs(p_mw), np.abs(q_mvar)), [0, *ends[:-1]])
        self.most_mva[places] = most

    def _busbars(self, places: list[int]) -> None:
        """Read what primary substations tell of the transformers of these feeders."""
        rows: list[int] = []
        told: dict[str, list[float]] = {"p_mw": [], "loading_percent": [], "v_set_pu": []}
        for place in places:
            picture, (first, end) = self.pictures[place], self.start[place : place + 2].tolist()
            if picture.volts.at_busbar and picture.primary is not None:
                rows += range(first, end)
                for name, values in told.items():
                    each = column(picture.primary.values[name])[: end - first]
                    values += each + [math.nan] * (end - first - len(each))
        for name, values in told.items():
            getattr(self, name)[rows] = values

    def sources_pu(self) -> tuple[Floats, Floats]:
        """Return the lowest and the highest voltage that goes with each own one [source], NaN while that is dark."""
        own = np.where(self.own_pu > Extremes.DARK_PU, self.own_pu, math.nan)
        return own + self.below_pu, own + self.above_pu

    def range_pu(self) -> tuple[Floats, Floats]:
        """Return the lowest and the highest voltage of each area, NaN while dark."""
        low, high = self.sources_pu()
        if len(low) == len(self.pictures):
            return low, high
        return np.fmin.reduceat(low, self.start[:-1]), np.fmax.reduceat(high, self.start[:-1])


def wall_of(pictures: Iterable[Picture]) -> Wall:
    """Return the wall on which these pictures hang with all others that hang anywhere."""
    listed = list(pictures)
    wall = next((picture.wall for picture in listed if picture.wall is not None), None) or Wall()
    if any(picture.wall is not wall for picture in listed):
        wall.hang(listed)
    return wall
