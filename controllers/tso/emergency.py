"""What the TSO can do about a DSO's grid while nothing is transferred: ring up and ask."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.contract import Site
from controllers.distributed.area import number
from sims.core.message import Message


class EmergencyCall:
    """Asks a DSO by telephone for relief when a limit at one of its interfaces stays violated.

    The TSO never commands a DSO's devices: the call is a message ``request`` to the DSO's operator on duty, over the
    human channel the scenario gives that line, with what is wrong, what flows and how much less would do. For a
    voltage that is `share_per_pu` of the flow for each pu beyond the band, and nothing that less flow would make worse.

    Settings
    --------
    patience_s : float
        How long a violation stands before the call (600).
    again_s : float
        Least time between two calls about one interface (1800).
    v_band_pu : sequence of two floats
        Admissible voltage on the transmission side (0.9, 1.1).
    loading_percent : float
        Admissible loading of the interface's transformer (100).
    share_per_pu : float
        (20: all of the flow at 0.05 pu beyond)
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.patience_s, self.again_s = float(s.get("patience_s", 600.0)), float(s.get("again_s", 1800.0))
        low, high = s.get("v_band_pu", (0.9, 1.1))
        self.low_pu, self.high_pu = float(low), float(high)
        self.loading_percent = float(s.get("loading_percent", 100.0))
        self.share_per_pu = float(s.get("share_per_pu", 20.0))
        self.interfaces = {i.name: i for i in site.grid.interfaces}
        self.since_s: dict[str, float] = {}
        self.called_s: dict[str, float] = {}

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Note what stays violated, and call."""
        out: list[Message] = []
        for message in inbox:
            if message.topic == "interface" and message.sender in self.interfaces:
                out += self._judge(message, now_s)
        return out

    def _judge(self, message: Message, now_s: float) -> list[Message]:
        name, values = message.sender, message.values
        interface = self.interfaces[name]
        v_pu, loading = number(values["v_pu"]), number(values["loading_percent"])
        p_mw = number(values["p_mw"])
        if loading > self.loading_percent:
            relief = (loading - self.loading_percent) / 100 * interface.sn_mva
            what = {"quantity": "loading_percent", "value": loading, "relief_mw": -relief if p_mw > 0 else relief}
        elif not self.low_pu <= v_pu <= self.high_pu:
            beyond = min(v_pu - self.low_pu, 0.0) + max(v_pu - self.high_pu, 0.0)
            # Less import lifts a low voltage, less export lowers a high one.
            helps = p_mw * beyond > 0
            share = min(self.share_per_pu * abs(beyond), 1.0) if helps else 0.0
            what = {"quantity": "v_pu", "value": v_pu, "relief_mw": -share * p_mw}
        else:
            self.since_s.pop(name, None)
            return []
        since = self.since_s.setdefault(name, now_s)
        if now_s - since < self.patience_s or now_s - self.called_s.get(name, -self.again_s) < self.again_s:
            return []
        self.called_s[name] = now_s
        values = {"interface": name, "p_mw": p_mw, **what}
        return [Message(self.site.name, f"{interface.dso}.operator", "request", values, size_bytes=200)]
