"""Deals between cells: opposite imbalances cancel before anything is activated, each MW sold once."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Deal:
    """A promise to another cell: reserved while it is thinking, sold once it accepts."""

    partner: str
    mw: float
    until_s: float
    sold: bool = False


@dataclass
class Ledger:
    """What a cell's spokesman has promised and bought.

    A deal is kept under its buyer's number; asking or accepting twice changes nothing, so letters may be
    sent again. `mw` counts as a change of the own schedule: positive exports more.
    """

    sales: dict[str, Deal] = field(default_factory=dict)
    purchases: dict[str, Deal] = field(default_factory=dict)

    def promised_mw(self) -> float:
        """Return what is reserved or sold, both directions in magnitude [MW]."""
        return sum(abs(deal.mw) for deal in self.sales.values())

    def bought_mw(self) -> float:
        """Return what has been bought, in magnitude [MW]."""
        return sum(abs(deal.mw) for deal in self.purchases.values())

    def reserve(self, number: str, partner: str, mw: float, free_mw: float, until_s: float) -> float:
        """Return what is offered of `mw` (signed) out of `free_mw`, and keep it back until `until_s`."""
        if number in self.sales:
            return self.sales[number].mw
        size = min(abs(mw), max(free_mw, 0.0))
        if size <= 0:
            return 0.0
        offered = size if mw > 0 else -size
        self.sales[number] = Deal(partner, offered, until_s)
        return offered

    def sell(self, number: str, partner: str, mw: float, until_s: float) -> float | None:
        """Turn a reservation into a sale of at most what was reserved; None where there is none."""
        deal = self.sales.get(number)
        if deal is None or deal.partner != partner:
            return None
        if not deal.sold:
            size = min(abs(mw), abs(deal.mw))
            deal.mw = size if deal.mw > 0 else -size
            deal.sold, deal.until_s = True, until_s
        return deal.mw

    def buy(self, number: str, partner: str, mw: float, until_s: float) -> None:
        """Enter a confirmed purchase; entering it again changes nothing."""
        self.purchases.setdefault(number, Deal(partner, mw, until_s, sold=True))

    def expire(self, now_s: float) -> None:
        """Strike out what has run out."""
        self.sales = {n: d for n, d in self.sales.items() if d.until_s > now_s}
        self.purchases = {n: d for n, d in self.purchases.items() if d.until_s > now_s}

    def shift_mw(self) -> float:
        """Return by how much the deals move the own schedule, export positive [MW]."""
        sold = sum(deal.mw for deal in self.sales.values() if deal.sold)
        return sold + sum(deal.mw for deal in self.purchases.values())
