"""A place on the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A place on the network; with `stores` it keeps up to `buffer_packets` while no way is up."""

    name: str
    stores: bool = False
    buffer_packets: int = 1000
