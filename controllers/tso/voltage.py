"""The TSO's voltage wish: what each interface is asked to hold."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.contract import Site
from controllers.distributed.area import number
from controllers.tso.schedule import Schedule
from sims.core.message import Message


class VoltageWish:
    """Sends each interface's wished voltage by quarter-hour to whoever supports it (Swissgrid style).

    Topic ``u_set`` with the interface's name and ``v_set_pu``; it goes to the DSO's control room and to the
    agent at the interface, as far as they are among the TSO's neighbours. A wish is sent when it changes and
    again every `renew_s`.

    Settings
    --------
    u_set_pu : float, sequence, or mapping of interface to either
        By step of `u_step_s` (1.0).
    u_step_s : float
        (900)
    renew_s : float
        (3600)
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.wishes = Schedule(s.get("u_set_pu"), float(s.get("u_step_s", 900.0)), 1.0)
        self.renew_s = float(s.get("renew_s", 3600.0))
        known = set(site.neighbours)
        self.receivers = {
            i.name: [r for r in (f"{i.dso}.dms", i.name) if not known or r in known] for i in site.grid.interfaces
        }
        self.v_pu: dict[str, float] = {}
        self.sent: dict[str, tuple[float, float]] = {}

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Note the voltages and send the wishes that are due."""
        for message in inbox:
            if message.topic == "interface":
                self.v_pu[message.sender] = number(message.values["v_pu"])
        out: list[Message] = []
        for name, receivers in self.receivers.items():
            wish = self.wishes.at(name, now_s)
            last = self.sent.get(name)
            if last is not None and last[0] == wish and now_s - last[1] < self.renew_s:
                continue
            self.sent[name] = wish, now_s
            values = {"interface": name, "v_set_pu": wish}
            out += [Message(self.site.name, r, "u_set", values, size_bytes=80) for r in receivers]
        return out
