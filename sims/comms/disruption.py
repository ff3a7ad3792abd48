"""The clockwork of failures and attacks: what goes down, comes up, starts and ends, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sims.comms.attacks import Attack
from sims.comms.link import NS_PER_MS, Link
from sims.comms.outages import Outage, RandomOutage
from sims.comms.packet import Timer
from sims.comms.streams import stream
from sims.core.message import Message


class Disrupted(Protocol):
    """What a network lets be done to it."""

    def set_timer(self, at_ns: int, timer: Timer) -> None:
        """Let `timer` fire at `at_ns`."""
        ...

    def fail(self, links: Sequence[Link], node: int, *, loses_in_flight: bool) -> None:
        """Take things down."""
        ...

    def restore(self, links: Sequence[Link], node: int) -> None:
        """Bring things back."""
        ...

    def flood(self, link: Link, message: Message) -> None:
        """Put an attacker's packet on `link`."""
        ...


class Disruptions:
    """Outages and attacks of one run; every drawn time comes from a stream of the thing that fails."""

    def __init__(
        self, outages: Sequence[Outage | RandomOutage], attacks: Sequence[Attack],
        links: Sequence[Link], nodes: Sequence[str], seed: int,
    ) -> None:  # fmt: skip
        self.outages, self.attacks = tuple(outages), tuple(attacks)
        by_label: dict[str, list[Link]] = {}
        for link in links:
            by_label.setdefault(link.label, []).append(link)
            by_label.setdefault(link.name, []).append(link)
        index = {name: code for code, name in enumerate(nodes)}
        self._hit = [
            (tuple(by_label[row.name]), -1) if row.kind == "link" else ((), index[row.name])
            for row in self.outages
        ]
        self._stations = [(attack, link) for attack in self.attacks for link in by_label[attack.link]]
        self._rngs = [
            stream(seed, f"{row.kind} {row.name}", f"outage {code}") for code, row in enumerate(self.outages)
        ]
        self._attack_rngs = [
            stream(seed, link.name, f"attack {code}") for code, (_, link) in enumerate(self._stations)
        ]
        self.down_since = [-1] * len(self.outages)
        self.down_ns = [0] * len(self.outages)

    def start(self, network: Disrupted) -> None:
        """Set the first timer of each."""
        for code, row in enumerate(self.outages):
            if isinstance(row, Outage):
                network.set_timer(row.start_ms * NS_PER_MS, Timer("down", code))
            elif row.starts_down(self._rngs[code]):
                network.set_timer(0, Timer("down", code))
            else:
                network.set_timer(row.draw_ns(self._rngs[code], down=False), Timer("down", code))
        for code, (attack, _) in enumerate(self._stations):
            network.set_timer(attack.start_ms * NS_PER_MS, Timer("attack", code))
            network.set_timer(attack.end_ms * NS_PER_MS, Timer("peace", code))

    def fire(self, timer: Timer, now_ns: int, network: Disrupted) -> None:
        """Do what `timer` is for, and set the next."""
        code = timer.number
        if timer.kind == "down":
            row, (links, node) = self.outages[code], self._hit[code]
            self.down_since[code] = now_ns
            network.fail(links, node, loses_in_flight=row.loses_in_flight)
            until = (
                row.end_ms * NS_PER_MS
                if isinstance(row, Outage)
                else now_ns + row.draw_ns(self._rngs[code], down=True)
            )
            network.set_timer(until, Timer("up", code))
        elif timer.kind == "up":
            row, (links, node) = self.outages[code], self._hit[code]
            self.down_ns[code] += now_ns - self.down_since[code]
            self.down_since[code] = -1
            network.restore(links, node)
            if isinstance(row, RandomOutage):
                network.set_timer(now_ns + row.draw_ns(self._rngs[code], down=False), Timer("down", code))
        elif timer.kind == "attack":
            _, link = self._stations[code]
            link.attacks = (*link.attacks, code)
            self._next_packet(code, now_ns, network)
        elif timer.kind == "peace":
            _, link = self._stations[code]
            link.attacks = tuple(other for other in link.attacks if other != code)
        elif timer.kind == "flood":
            _, link = self._stations[code]
            if code in link.attacks and timer.message is not None:
                network.flood(link, timer.message)
                self._next_packet(code, now_ns, network)

    def _next_packet(self, code: int, now_ns: int, network: Disrupted) -> None:
        attack, link = self._stations[code]
        injected = attack.inject(link.rate, self._attack_rngs[code])
        if injected is not None:
            gap_ms, message = injected
            network.set_timer(now_ns + max(1, round(gap_ms * NS_PER_MS)), Timer("flood", code, message))

    @property
    def attacking(self) -> bool:
        """Whether anybody stands on a link now."""
        return any(link.attacks for _, link in self._stations)

    def touch(self, link: Link, message: Message, now_ns: int) -> tuple[list[tuple[int, Message]], bool]:
        """Return what the attackers on `link` make of `message`: (delay [ns], message), and if they lied."""
        passing = [(0, message)]
        for code in link.attacks:
            attack, rng = self._stations[code][0], self._attack_rngs[code]
            after: list[tuple[int, Message]] = []
            for delay, item in passing:
                if not item.topic.startswith(attack.topic):
                    after.append((delay, item))
                    continue
                for extra_ms, changed in attack.touch(item, (now_ns + delay) / NS_PER_MS, rng):
                    after.append((delay + max(0, round(extra_ms * NS_PER_MS)), changed))
            passing = after
        return passing, any(item is not message for _, item in passing)

    def availability(self, kind: str, name: str, now_ns: int) -> float:
        """Return the share of time up to now that the outages of one thing left it up."""
        if now_ns <= 0:
            return 1.0
        down = 0
        for code, row in enumerate(self.outages):
            if row.kind == kind and row.name == name:
                since = self.down_since[code]
                down += self.down_ns[code] + (now_ns - since if since >= 0 else 0)
        return 1.0 - down / now_ns

    def get_state(self) -> dict[str, Any]:
        """Return clocks, random states, attackers' memories and who stands on which link."""
        return {
            "down_since": list(self.down_since), "down_ns": list(self.down_ns),
            "rngs": [rng.bit_generator.state for rng in self._rngs],
            "attack_rngs": [rng.bit_generator.state for rng in self._attack_rngs],
            "attacks": [attack.get_state() for attack in self.attacks],
            "active": [code in link.attacks for code, (_, link) in enumerate(self._stations)],
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.down_since, self.down_ns = list(state["down_since"]), list(state["down_ns"])
        for rng, kept in zip(self._rngs, state["rngs"], strict=True):
            rng.bit_generator.state = kept
        for rng, kept in zip(self._attack_rngs, state["attack_rngs"], strict=True):
            rng.bit_generator.state = kept
        for attack, memory in zip(self.attacks, state["attacks"], strict=True):
            attack.set_state(memory)
        for _, link in self._stations:
            link.attacks = ()
        for code, active in enumerate(state["active"]):
            link = self._stations[code][1]
            if active:
                link.attacks = (*link.attacks, code)
