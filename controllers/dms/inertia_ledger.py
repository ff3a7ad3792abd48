"""The inertia account of a cell among others: what each said of itself, and what of it is lent to whom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from controllers.belief import CellBelief
from controllers.contract import Site
from controllers.dms.inertia import Floats, Reference, Trade, needed_mws, trade
from controllers.logbook import Standing, alarm, goal
from sims.core.message import Message

DUTY = "provide_inertia"
TOPIC = "inertia"
"""Of the letters in which cells tell each other how they stand."""
STALE_S = 3600.0
"""How long what another cell said of itself holds."""
NEWS = 0.05
"""Change of the machines' kinetic energy, or of the largest of them, upon which the account is made anew."""
SHORT = 0.01
"""Share of the need that may be missing without an alarm."""


@dataclass
class Entry:
    """How one cell stands: what it owns and needs [MWs], and how much more it can export and import [MW]."""

    own_mws: float
    needed_mws: float
    export_mw: float
    import_mw: float
    at_s: float = 0.0


@dataclass
class InertiaLedger:
    """What is owned, needed and lent, by the same rule in every cell.

    Who knows the same entries comes to the same trade; so nobody hands out what another has been promised.

    Parameters
    ----------
    cell : CellBelief
        The own one.
    reference : Reference
    """

    cell: CellBelief
    reference: Reference
    entries: dict[int, Entry] = field(default_factory=dict)
    _short: Standing = field(default_factory=lambda: Standing(patience=2))

    def note(self, own_mws: float, largest_mw: float, p_tie_mw: float, now_s: float) -> None:
        """Enter how the own cell stands; the ties' capacity less the exchange is what more can flow."""
        room = self.cell.tie_capacity_mw
        needed = needed_mws(largest_mw, self.reference)
        export, into = max(room - p_tie_mw, 0.0), max(room + p_tie_mw, 0.0)
        self.entries[self.cell.cell] = Entry(own_mws, needed, export, into, now_s)

    def hear(self, message: Message) -> None:
        """Take another cell's letter; an older one than known changes nothing."""
        values, at_s = message.values, message.sent_ms / 1000
        number = int(values["cell"])
        known = self.entries.get(number)
        if number != self.cell.cell and (known is None or at_s >= known.at_s):
            own, needed, out, into = (float(values[k]) for k in ("own_mws", "needed_mws", "export_mw", "import_mw"))
            self.entries[number] = Entry(own, needed, out, into, at_s)

    def letters(self, sender: str, receivers: tuple[str, ...]) -> list[Message]:
        """Return what the others are told of the own cell."""
        e = self.entries[self.cell.cell]
        values = {
            "cell": self.cell.cell, "own_mws": e.own_mws, "needed_mws": e.needed_mws, "export_mw": e.export_mw,
            "import_mw": e.import_mw,
        }
        return [Message(sender, to, TOPIC, values, size_bytes=92) for to in receivers]

    def traded(self, now_s: float) -> tuple[Trade, int]:
        """Return the trade among the cells that have been heard of lately, and the own cell's place in it."""
        known = {n: e for n, e in sorted(self.entries.items()) if now_s - e.at_s <= STALE_S}
        entries = list(known.values())
        column = np.array([[e.own_mws, e.needed_mws, e.export_mw, e.import_mw] for e in entries]).T
        found = trade(column[0], column[1], between(column[2], column[3]), self.reference)
        return found, list(known).index(self.cell.cell)

    def account(self, site: Site, assigned_mws: float, now_s: float) -> list[Message]:
        """Return the account for the logbook of `site`, and an alarm where the cell is newly short of inertia."""
        entry, name = self.entries[self.cell.cell], self.cell.name
        shared, mine = self.traded(now_s)
        borrowed, lent = float(shared.lent_mws[:, mine].sum()), float(shared.lent_mws[mine].sum())
        short = entry.needed_mws - entry.own_mws - borrowed
        out = [goal(
            site, DUTY, {"cell": name}, own_mws=entry.own_mws, needed_mws=entry.needed_mws, assigned_mws=assigned_mws,
            deliverable_mws=float(shared.deliverable_mws[mine]), receivable_mws=float(shared.receivable_mws[mine]),
            lent_mws=lent, borrowed_mws=borrowed,
        )]
        if self._short.news([name] if short > SHORT * entry.needed_mws else []):
            out.append(alarm(site, "inertia", f"{name} is {short:.0f} MWs short of inertia", short))
        return out


def between(export_mw: Floats, import_mw: Floats) -> Floats:
    """Return the transfer capacity from each cell to each other, array [from, to] [MW].

    Room to export is shared by how much the others can take, room to import by how much the others can give, so that
    no cell's ties are counted twice.
    """
    apart = ~np.eye(len(export_mw), dtype=bool)
    takes, gives = apart * import_mw[None, :], apart * export_mw[:, None]
    out = export_mw[:, None] * takes / np.maximum(takes.sum(axis=1, keepdims=True), 1e-12)
    into = import_mw[None, :] * gives / np.maximum(gives.sum(axis=0, keepdims=True), 1e-12)
    found: Floats = np.minimum(out, into)
    return found
