"""What the TSO can do about a DSO's grid while nothing is transferred: ring up and ask."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.contract import Site
from controllers.distributed.area import number
from sims.core.message import Message


class EmergencyCall:
    """Asks a DSO by telephone for relief when a limit at one of its interfaces stays violated.

    The TSO never commands a DSO's devices: the call is a message ``request`` to the DSO's crew, over the human
    channel the scenario gives that link, with what is wrong and how much would cure it.

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
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.patience_s, self.again_s = float(s.get("patience_s", 600.0)), float(s.get("again_s", 1800.0))
        low, high = s.get("v_band_pu", (0.9, 1.1))
        self.low_pu, self.high_pu = float(low), float(high)
        self.loading_percent = float(s.get("loading_percent", 100.0))
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
            what = {"quantity": "v_pu", "value": v_pu, "relief_mw": 0.0}
        else:
            self.since_s.pop(name, None)
            return []
        since = self.since_s.setdefault(name, now_s)
        if now_s - since < self.patience_s or now_s - self.called_s.get(name, -self.again_s) < self.again_s:
            return []
        self.called_s[name] = now_s
        values = {"interface": name, **what}
        return [Message(self.site.name, f"{interface.dso}.crew", "request", values, size_bytes=200)]
