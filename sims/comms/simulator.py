"""The network as a model: mail comes in at one port, goes out at its destination's, later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sims.comms.ledger import Ledger
from sims.core.bundle import Addresses, Bundle, Mail, unbundled
from sims.core.clock import is_tick, next_tick
from sims.core.errors import Problem, ScenarioError, nearest
from sims.core.message import Message
from sims.core.ports import Inputs, Ports, Step, items

_NS = 1_000_000


class Carrier(Protocol):
    """What the simulator asks of a network, exact (`Network`) or sampled (`SampledNetwork`)."""

    ledger: Ledger

    @property
    def now_ns(self) -> int:
        """How far it has been run [ns]."""
        ...

    @property
    def next_event_ns(self) -> int | None:
        """When something happens next inside [ns], or None."""
        ...

    def earliest_ns(self, concerns: Concern) -> int | None:
        """Return a time before which no message that `concerns` someone arrives [ns]; None: none is on its way."""
        ...

    def send_all(self, mail: Sequence[Mail], at_ns: Sequence[int]) -> None:
        """Put each of `mail` on its way at its time, in the order of time."""
        ...

    def advance(self, until_ns: int) -> list[Mail]:
        """Run to `until_ns` and return what arrived, in order of arrival."""
        ...

    def drain_log(self) -> dict[str, NDArray[Any]]:
        """Return and forget the log."""
        ...

    def get_state(self) -> dict[str, Any]:
        """Return everything that a restart needs."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        ...


Router = Callable[[Message], str]
Concern = Callable[[str, str], bool]
"""Receiver and topic -> whether somebody there acts on it at once."""


class CommsSimulator:
    """Hears ``outbox``, hands each delivery over at the port that `route_to_port` names.

    A port in `ports` is told once per slot and wakes its listener. A port in `boxes` is for who steps on
    the grid anyway: at each grid tick it holds all that has arrived since the last one.

    A message is handed over at the first multiple of `slot_ms` at or after its arrival; `arrived_ms` keeps
    the exact time. It enters the network at its `sent_ms`, so that the 1 ms of a time-shifted connection
    costs it nothing. Mail that wakes nobody stays here until mail goes that does, or until the next
    multiple of `gather_ms`, when its readers look at it by themselves.

    Ports
    -----
    hears : ``outbox``, lists of Message and Bundle from any number of sources
    tells : one list of Message and Bundle per name in `ports`
    writes : one tuple of Message per name in `boxes`; ``counters``, in the order of
        `sims.comms.ledger.COUNTERS`, and ``log``, columns of what was settled since the last grid tick

    Parameters
    ----------
    network : Network or SampledNetwork
    ports, boxes : sequences of str
        Destination ports.
    route_to_port : callable or mapping
        Delivered message -> port, or receiver's name -> port.
    slot_ms : int
    wakes : callable, optional
        Receiver and topic -> whether somebody there acts at once; by default each message wakes its listener.
    gather_ms : int, optional
        Greatest span that divides all periods at which listeners look at their mail; the grid tick by default.
    step_ms : int
        The grid tick at which counters and log are given.
    """

    def __init__(
        self, network: Carrier, ports: Sequence[str], route_to_port: Router | Mapping[str, str],
        *, boxes: Sequence[str] = (), slot_ms: int = 10, step_ms: int = 900_000,
        wakes: Concern | None = None, gather_ms: int | None = None,
    ) -> None:  # fmt: skip
        gather_ms = step_ms if gather_ms is None else gather_ms
        if slot_ms < 1 or step_ms < 1 or gather_ms < 1:
            text = "slot_ms, step_ms and gather_ms must be at least 1 ms"
            raise ScenarioError([Problem("comms", "slot_ms", text)])
        taken = {"outbox", "counters", "log"} & {*ports, *boxes}
        if taken:
            text = f"'{min(taken)}' is a port of the network itself; name the destination differently"
            raise ScenarioError([Problem("comms", "ports", text)])
        self.network = network
        self.slot_ms, self.step_ms, self.gather_ms = slot_ms, step_ms, gather_ms
        self._wakes = wakes and cache(wakes)
        self._gathered: dict[str, list[Mail]] = {}
        self._ports_of: dict[tuple[Addresses, str], tuple[list[str], NDArray[np.int64]]] = {}
        self._rousing: dict[tuple[Addresses, str], NDArray[np.bool_]] = {}
        self._route = _by_receiver(route_to_port) if isinstance(route_to_port, Mapping) else route_to_port
        self._mail_ports = frozenset((*ports, *boxes))
        self._boxes: dict[str, list[Message]] = {name: [] for name in boxes}
        self._box_until_ms = 0
        self.ports = Ports(
            hears=("outbox",), writes=("counters", "log", *self._boxes), tells=tuple(dict.fromkeys(ports))
        )
        self._held: list[Mail] = []

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Take the outbox, run to now, tell what is due."""
        network = self.network
        outbox: list[Mail] = items(inputs, "outbox")
        if outbox:
            self._send(outbox, now_ms)
        arrived = network.advance(now_ms * _NS)
        outputs = self._boxed(self._gather(self._due(arrived, now_ms), now_ms), now_ms)
        if is_tick(now_ms, self.step_ms):
            outputs["counters"] = network.ledger.array()
            outputs["log"] = network.drain_log()
        return Step(self._next_ms(now_ms), outputs)

    def _gather(self, due: dict[str, Any], now_ms: int) -> dict[str, Any]:
        """Keep back a port's mail until some of it wakes somebody, or its readers look at it anyway."""
        if self._wakes is None:
            return due
        looked_at = is_tick(now_ms, self.gather_ms)
        for port in self.ports.tells:
            new = due.pop(port, [])
            mail = self._gathered.pop(port, []) + new
            if mail and (looked_at or self._rouses(new)):
                due[port] = mail
            elif mail:
                self._gathered[port] = mail
        return due

    def _rouses(self, mail: list[Mail]) -> bool:
        wakes = self._wakes
        return wakes is not None and any(
            self._rouses_one(item) if isinstance(item, Bundle) else wakes(item.receiver, item.topic) for item in mail
        )

    def _rouses_one(self, bundle: Bundle) -> bool:
        """Tell whether a message of `bundle` wakes somebody; each address is asked about once."""
        key, wakes = (bundle.addresses, bundle.topic), self._wakes
        if wakes is not None and key not in self._rousing:
            self._rousing[key] = np.array([wakes(name, bundle.topic) for name in bundle.addresses.receivers])
        return bool(self._rousing[key][bundle.rows].any())

    def _boxed(self, due: dict[str, Any], now_ms: int) -> dict[str, Any]:
        """Put what is due for a box into it; empty the boxes once the tick they were filled for is over."""
        if not self._boxes:
            return due
        if now_ms > self._box_until_ms:
            self._box_until_ms = -(-now_ms // self.step_ms) * self.step_ms
            for box in self._boxes.values():
                box.clear()
        for name, box in self._boxes.items():
            box.extend(unbundled(due.pop(name, ())))
            due[name] = tuple(box)
        return due

    def _send(self, outbox: list[Mail], now_ms: int) -> None:
        """Enter each message at its `sent_ms`, which is now or, over a shifted connection, 1 ms ago."""
        earliest, now_ns = max(self.network.now_ns, (now_ms - 1) * _NS), now_ms * _NS
        times = [min(max(message.sent_ms * _NS, earliest), now_ns) for message in outbox]
        order = sorted(range(len(times)), key=times.__getitem__)
        self.network.send_all([outbox[k] for k in order], [times[k] for k in order])

    def _due(self, arrived: list[Mail], now_ms: int) -> dict[str, Any]:
        """Sort into ports what has arrived by the last slot; hold the rest for the next."""
        if self._held:
            arrived = self._held + arrived
        arrived, self._held = _by(now_ms // self.slot_ms * self.slot_ms, arrived, now_ms)
        out: dict[str, Any] = {}
        route, known = self._route, self._mail_ports
        for message in arrived:
            if isinstance(message, Bundle):
                for port, part in self._shares(message):
                    out.setdefault(port, []).append(part)
                continue
            port = route(message)
            mail = out.get(port)
            if mail is not None:
                mail.append(message)
            elif port in known:
                out[port] = [message]
            else:
                self._refuse(port, message)
        return out

    def _shares(self, bundle: Bundle) -> list[tuple[str, Bundle]]:
        """Return what of `bundle` goes to which port; each address is looked up once."""
        key = (bundle.addresses, bundle.topic)
        if key not in self._ports_of:
            codes: dict[str, int] = {}
            who = zip(bundle.addresses.senders, bundle.addresses.receivers, strict=True)
            like = bundle.message(0).values
            found = [codes.setdefault(self._route(Message(*pair, bundle.topic, like)), len(codes)) for pair in who]
            for port in codes.keys() - self._mail_ports:
                self._refuse(port, bundle.message(0))
            self._ports_of[key] = list(codes), np.array(found)
        ports, which = self._ports_of[key]
        if len(ports) == 1:
            return [(ports[0], bundle)]
        shares = ((port, np.flatnonzero(which[bundle.rows] == code)) for code, port in enumerate(ports))
        return [(port, bundle.some(places)) for port, places in shares if len(places)]

    def _refuse(self, port: str, message: Message) -> None:
        near = nearest(port, self._mail_ports)
        raise ValueError(f"{message.topic} to {message.receiver}: there is no port '{port}'{near}")

    def _next_ms(self, now_ms: int) -> int:
        """Return the next slot in which something may be due, or the next grid tick."""
        tick = next_tick(now_ms, self.step_ms)
        wakes = self._wakes
        if self._held and (wakes is None or self._rouses(self._held)):
            return min(tick, next_tick(now_ms, self.slot_ms))
        at_ns = self.network.next_event_ns
        if wakes is not None:
            if self._gathered or self._held or at_ns is not None:
                tick = min(tick, next_tick(now_ms, self.gather_ms))
            at_ns = self.network.earliest_ns(wakes)
        if at_ns is None:
            return tick
        slot_ns = self.slot_ms * _NS
        slot = -(-at_ns // slot_ns) * self.slot_ms
        return min(tick, max(slot, now_ms + 1))

    def close(self, end_ms: int) -> dict[str, NDArray[Any]]:
        """Let what is under way arrive up to the end of the run; return the log since the last grid tick."""
        self.network.advance(end_ms * _NS)
        return self.network.drain_log()

    def get_state(self) -> dict[str, Any]:
        """Return the network's state and what is held for the next slot."""
        boxes = {name: list(box) for name, box in self._boxes.items()}
        return {
            "network": self.network.get_state(), "held": list(self._held), "boxes": boxes,
            "box_until_ms": self._box_until_ms,
            "gathered": {name: list(mail) for name, mail in self._gathered.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.network.set_state(state["network"])
        self._held = list(state["held"])
        self._boxes = {name: list(box) for name, box in state["boxes"].items()}
        self._box_until_ms = state["box_until_ms"]
        self._gathered = {name: list(mail) for name, mail in state["gathered"].items()}


def _by(slot_ms: int, mail: list[Mail], now_ms: int) -> tuple[list[Mail], list[Mail]]:
    """Return what of `mail` had arrived by `slot_ms`, and the rest; all has by `now_ms`."""
    if slot_ms == now_ms:
        return mail, []
    due: list[Mail] = []
    later: list[Mail] = []
    for item in mail:
        if not isinstance(item, Bundle):
            (due if item.arrived_ms <= slot_ms else later).append(item)
            continue
        for part, where in zip(item.parted(slot_ms), (due, later), strict=True):
            if len(part):
                where.append(part)
    return due, later


def _by_receiver(ports: Mapping[str, str]) -> Router:
    """Return a router that looks a receiver's name up."""

    def route(message: Message) -> str:
        if message.receiver not in ports:
            near = nearest(message.receiver, ports)
            raise ValueError(f"{message.topic} to {message.receiver}: no port is given for it{near}")
        return ports[message.receiver]

    return route
