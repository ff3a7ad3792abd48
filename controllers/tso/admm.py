"""The TSO's side of the negotiation on the exchange at its interfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.admm import Agreement, TransmissionSide
from controllers.distributed.area import number
from controllers.tso.schedule import Schedule
from sims.core.message import Message


@dataclass
class Talk:
    """One negotiation under way: its copy of the agreement, the own side, the wish last sent."""

    session: float
    agreement: Agreement
    side: TransmissionSide
    wish: NDArray[np.float64]
    deviation_pu: float


@dataclass(frozen=True)
class Settled:
    """Where the last negotiation ended: when it was opened, on what deviation of the voltage, and on what terms."""

    since_s: float
    deviation_pu: float
    z: NDArray[np.float64]
    multiplier: NDArray[np.float64]


class AdmmTso:
    """Opens a negotiation with every interface whose voltage is off its wish, and sees it through.

    A round is one letter each way; both sides stop in the same round (see `admm.Agreement`), at the latest after
    `rounds`: the distribution side then delivers its last wish, which lies within its means, and the next
    negotiation goes on from there. A letter that is lost ends the negotiation; the next cycle opens another.
    An interface is talked to once a settled quarter-hour, and then only where its voltage has moved by more
    than the tolerance since, or where what was agreed runs out; a voltage that has moved by thrice as much
    does not wait for the next quarter-hour.

    Settings
    --------
    u_set_pu : float, sequence, or mapping of interface to either
        Wish by step of `u_step_s` (1.0).
    u_step_s : float
        (900)
    cycle_s : float
        (180)
    tolerance_pu : float
        Deviation below which no negotiation is opened (0.002).
    slot_s : float
        What is settled at once (900).
    renew_s : float
        Longest time that an agreement is relied on (1800).
    rounds : int
        Most rounds of one negotiation (24).
    short_circuit_mva : float or mapping of interface to float
        The rise of U with Q is its inverse: of the transmission bus where one interface moves alone, less
        where neighbouring ones move with it, as they do (3500).
    k_p_mvar_per_pu : float
        Worth of the voltage against that of the reactive power that it takes, as the slope of
        Q = k_p (U_set - U); 0 has the voltage at any price (0).
    rho : float
        Of the agreement; at the curvature of the own cost, the default, it takes the fewest rounds.
    """

    urgent = frozenset({"admm"})

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.interfaces = {i.name: i for i in site.grid.interfaces}
        self.wishes = Schedule(s.get("u_set_pu"), float(s.get("u_step_s", 900.0)), 1.0)
        self.cycle_s = float(s.get("cycle_s", 180.0))
        self.tolerance_pu = float(s.get("tolerance_pu", 0.002))
        self.slot_s, self.renew_s = float(s.get("slot_s", 900.0)), float(s.get("renew_s", 1800.0))
        self.rounds = int(s.get("rounds", 24))
        self.rho = float(s.get("rho", 0.0))
        self.k_p = float(s.get("k_p_mvar_per_pu", 0.0))
        strength = s.get("short_circuit_mva", 3500.0)
        known = strength if isinstance(strength, Mapping) else {}
        common = 3500.0 if isinstance(strength, Mapping) else float(strength)
        self.rise = {n: i.sn_mva / float(known.get(n, common)) for n, i in self.interfaces.items()}
        self.measured: dict[str, NDArray[np.float64]] = {}
        self.talks: dict[str, Talk] = {}
        self.agreed: dict[str, NDArray[np.float64]] = {}
        self.settled: dict[str, Settled] = {}
        self.next_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Answer the interfaces; once a cycle open new negotiations."""
        out: list[Message] = []
        for message in inbox:
            if message.topic == "interface" and message.sender in self.interfaces:
                values, rating = message.values, self.interfaces[message.sender].sn_mva
                self.measured[message.sender] = np.array([
                    number(values["p_mw"]) / rating, number(values["q_mvar"]) / rating, number(values["v_pu"]),
                ])
            elif message.topic == "admm" and message.sender in self.talks:
                out += self._answer(message)
        if now_s >= self.next_s:
            self.next_s = now_s + self.cycle_s
            self.talks = {}
            for name, measured in self.measured.items():
                wish = self.wishes.at(name, now_s)
                if self._due(name, float(measured[2]), wish, now_s):
                    out.append(self._open(name, measured, wish, now_s))
        return out

    def _due(self, name: str, v_pu: float, wish: float, now_s: float) -> bool:
        """Tell whether there is something to negotiate: a deviation, or an agreement that is old or overtaken."""
        last = self.settled.get(name)
        if last is None:
            return abs(v_pu - wish) > self.tolerance_pu or name in self.agreed
        moved, age_s = abs((v_pu - wish) - last.deviation_pu), now_s - last.since_s
        if moved > 3 * self.tolerance_pu or (moved > self.tolerance_pu and age_s >= self.slot_s):
            return True
        # An interface that supports the voltage is talked to again, or its support would run out.
        return age_s >= self.renew_s

    def _open(self, name: str, measured: NDArray[np.float64], u_set_pu: float, now_s: float) -> Message:
        last = self.settled.get(name)
        start = measured.copy()
        multiplier = np.zeros(3)
        if last is not None:
            start[1], multiplier = last.z[1], last.multiplier
            start[2] += self.rise[name] * (start[1] - measured[1])
        if self.k_p:
            k_pu = self.k_p / self.interfaces[name].sn_mva
            side = TransmissionSide.with_droop(measured, u_set_pu, self.rise[name], k_pu)
        else:
            side = TransmissionSide(measured, u_set_pu, self.rise[name])
        agreement = Agreement(start, self.rho or side.curvature, multiplier.copy())
        talk = self.talks[name] = Talk(now_s, agreement, side, side.wish(agreement), float(measured[2] - u_set_pu))
        return self._letter(name, talk, multiplier=multiplier, rounds=self.rounds)

    def _letter(self, name: str, talk: Talk, **more: Any) -> Message:
        values = {"session": talk.session, "round": talk.agreement.rounds + 1, "x": talk.wish,
                  "answer": talk.agreement.answer, "rho": talk.agreement.rho, **more}
        return Message(self.site.name, name, "admm", values, size_bytes=40 + (9 + 2 * len(more)) * 8)

    def _answer(self, message: Message) -> list[Message]:
        talk = self.talks[message.sender]
        values = message.values
        fits = number(values["session"]) == talk.session
        if not fits or int(number(values["round"])) != talk.agreement.rounds + 1:
            return []
        talk.agreement.advance(talk.wish, np.asarray(values["x"], dtype=float))
        reached = talk.agreement
        if reached.reached or reached.rounds >= self.rounds:
            if reached.reached:
                self.agreed[message.sender] = reached.z
            self.settled[message.sender] = Settled(talk.session, talk.deviation_pu, reached.z, reached.multiplier)
            del self.talks[message.sender]
            return []
        talk.wish = talk.side.wish(talk.agreement)
        return [self._letter(message.sender, talk)]
