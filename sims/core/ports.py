"""What a model reads and writes: the whole contract between a plain model and the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Inputs = Mapping[str, Mapping[str, Any]]
"""Port -> source simulator -> value (state ports), or -> list of items (event ports)."""


@dataclass(frozen=True)
class Ports:
    """Names of a model's ports.

    `reads` and `writes` carry state: the newest array, read-only, one per source. `hears` and `tells`
    carry events: lists that are delivered once; an item on a `hears` port makes the model step. What is written
    to a port in `finite` is refused where it holds NaN or an infinite number.
    """

    reads: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    finite: tuple[str, ...] = ()


@dataclass
class Step:
    """What a model hands over after a step: when it wants to step again [ms], and outputs by port.

    State ports left out keep their last value; event ports left out tell nothing. `next_ms` is always
    given, as the next tick of the model's own grid (`clock.next_tick`): a triggered model that named no
    next step would leave waiters behind in the scheduler, at a cost that grows with the square of time.
    """

    next_ms: int
    outputs: dict[str, Any] = field(default_factory=dict)


class Model(Protocol):
    """A plain-Python simulator: arrays in, arrays out, no mosaik.

    One that shares nothing that changes may say so by an attribute ``threaded = True``: it may then step in a thread
    of its own, beside others that do, where neither hears the other. One that holds more than memory may have a
    method `release`, which is called when the world is closed.
    """

    ports: Ports

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Advance to `now_ms` with `inputs`; may be called more than once at one instant."""
        ...

    def get_state(self) -> dict[str, Any]:
        """Return everything that a restart needs."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        ...


def frozen(values: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only copy, so that a reused buffer never reaches a reader that is behind."""
    out = np.array(values, copy=True)
    out.flags.writeable = False
    return out


def given(values: NDArray[Any]) -> NDArray[Any]:
    """Return `values` to be handed out without a copy: nobody can write to what is returned; their owner never will."""
    out = values.view()
    out.flags.writeable = False
    return out


def one(inputs: Inputs, port: str, default: Any = None) -> Any:
    """Return the value of a port that has a single source, or `default` where nothing has come."""
    values = inputs.get(port)
    if not values:
        return default
    if len(values) > 1:
        raise ValueError(f"port {port} has {len(values)} sources: {', '.join(values)}")
    return next(iter(values.values()))


def items(inputs: Inputs, port: str) -> list[Any]:
    """Return all event items at a port, in the order of their sources' names."""
    out: list[Any] = []
    values = inputs.get(port, {})
    for source in sorted(values):
        out.extend(values[source])
    return out
