"""The right to act on an order, and the trace an act leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Authorize = Callable[[str, str, str, int], str | None]
"""(actor, duty, asset, now_ms) -> None if the act is the actor's to do, else the rule that forbids it."""


class Action(NamedTuple):
    """One act, or refused act, on the system, as it stands in ``/actions``.

    Parameters
    ----------
    actor : str
        Who acted: a site's name, or ``device`` for a law inside the devices of an asset.
    duty : str
        Under which duty of the responsibility table.
    asset : str
        On what: a feeder, transformer, switch, generator or cell.
    quantity : str
        What was moved, with its unit: ``p_max_mw``, ``q_set_mvar``, ``tap_pos``, ``closed``, ...
    value : float
        The sum over the devices addressed, or the one value.
    count : int
        How many devices it addressed.
    refused : str
        The rule that forbade it; empty where the act was carried out.
    """

    t_ms: int
    actor: str
    duty: str
    asset: str
    quantity: str
    value: float
    count: int = 1  # type: ignore[assignment]  # a name of tuples, too: ours stands before it
    refused: str = ""
