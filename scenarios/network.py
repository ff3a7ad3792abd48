"""The network of a scenario: who has an address, what joins whom, and what befalls the links."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.loading import load_class
from controllers.responsibility import FROM_STAGE
from scenarios.places import Places, stations
from scenarios.schema import Scenario
from scenarios.schema_disturbances import (
    Assault,
    CommsOutage,
    Delaying,
    Dropping,
    Flooding,
    LinkOutage,
    OwnAttack,
    Replaying,
    Tampering,
)
from scenarios.wiring import Cabinet, roster, rules, single_links, storing
from sims.comms.arq import Arq
from sims.comms.attacks import Attack, Delay, Drop, Flood, Replay, Tamper
from sims.comms.ledger import OTHER
from sims.comms.network import Network
from sims.comms.outages import Outage, RandomOutage
from sims.comms.sampled import SampledNetwork
from sims.comms.topology import Place, build_network
from sims.core.errors import Problem, ScenarioError
from sims.core.message import Message

TOPICS = (
    "primary", "secondary", "der", "storage", "interface", "tie", "fault", "fault_indicator", "outage_call", "u_set",
    "request",
    *(f"command/{duty}" for duty in FROM_STAGE),
    *(f"consensus/{what}" for what in ("p", "q", "balance", "price", "droop", "inertia")),
    *(f"{what}/{quantity}" for what in ("capacity", "share")
      for quantity in ("p", "q", "cut", "droop", "inertia", "relief0", "relief1")),
    *(f"flisr/{what}" for what in ("passed", "between", "agree", "dark", "need", "ask", "offer")),
    *(f"net/{what}" for what in ("offer", "request", "accept", "confirm")),
    "boundary", "admm", "inertia", "state", "switched", OTHER,
)
"""Topics of the message log; what a user's controllers write under names of their own counts as other."""

ATTACKS: dict[type[Assault], type[Attack]] = {
    Tampering: Tamper, Dropping: Drop, Delaying: Delay, Replaying: Replay, Flooding: Flood,
}  # fmt: skip
"""What stands on the link, by what the scenario says."""


def carrier(scenario: Scenario, places: Places, machines: Sequence[str]) -> Network | SampledNetwork:
    """Return the network with everybody on it, as the scenario's mode says; the same in every pairing."""
    network = build(scenario, places, machines)
    return SampledNetwork(network) if scenario.communication.mode == "sampled" else network


def build(scenario: Scenario, places: Places, machines: Sequence[str]) -> Network:
    """Return the exact network with everybody on it."""
    communication = scenario.communication
    spots = storing(_spots(places, machines), communication)
    cabinet = Cabinet(spots, communication)
    return build_network(
        rules(communication), spots, single=single_links(communication), seed=scenario.seed,
        outages=_outages(scenario, cabinet), attacks=_attacks(scenario, cabinet), topics=TOPICS,
        groups=communication.groups,
        arq={a.topic: Arq(a.retries, a.timeout_ms, a.backoff, a.ack_bytes) for a in communication.acknowledged},
    )


def _outages(scenario: Scenario, cabinet: Cabinet) -> list[Outage | RandomOutage]:
    """Return what fails by the scenario's word and by chance; links with a repair time of their own come with them."""
    found: list[Outage | RandomOutage] = []
    for d in scenario.disturbances:
        at_ms = scenario.at_ms(d)
        if isinstance(d, CommsOutage):
            found.append(Outage(d.node, at_ms, at_ms + d.duration_ms, "node"))
        elif isinstance(d, LinkOutage):
            found.append(Outage(cabinet.label(d.link), at_ms, at_ms + d.duration_ms))
    for failure in scenario.communication.random_outages:
        if failure.node is not None:
            found.append(RandomOutage(failure.node, failure.mtbf_ms, failure.mttr_ms, "node"))
        elif failure.link is not None:
            found.append(RandomOutage(cabinet.label(failure.link), failure.mtbf_ms, failure.mttr_ms))
    return found


def _attacks(scenario: Scenario, cabinet: Cabinet) -> list[Attack]:
    """Return who stands on which link when, in the order of the file."""
    found = []
    for number, d in enumerate(scenario.disturbances):
        if not isinstance(d, Assault):
            continue
        link = cabinet.above(d.node) if d.node is not None else cabinet.label(str(d.link))
        at_ms = scenario.at_ms(d)
        given = d.arguments() | ({"topic": d.topic} if d.topic else {})
        made = own_attack(scenario, d, number) if isinstance(d, OwnAttack) else ATTACKS[type(d)]
        try:
            found.append(made(link, at_ms, at_ms + d.duration_ms, **given))
        except Exception as err:
            text = f"cannot be made with {', '.join(given) or 'no settings'}: {type(err).__name__}: {err}"
            raise ScenarioError([Problem(f"disturbances.{number}", made.__name__, text)]) from err
    return found


def own_attack(scenario: Scenario, event: OwnAttack, number: int) -> type[Attack]:
    """Return the user's class of an attack, or refuse what is none.

    Raises
    ------
    ScenarioError
        The file or class is not there or fails to load, or does not derive from `sims.comms.attacks.Attack`.
    """
    found: type[Attack] = load_class(event.use, scenario.folder, "attack")
    if not issubclass(found, Attack):
        text = f"'{event.use}' does not derive from sims.comms.attacks.Attack"
        raise ScenarioError([Problem(f"disturbances.{number}", "use", text)])
    return found


def _spots(places: Places, machines: Sequence[str]) -> list[Place]:
    """Return every address."""
    within = {feeder.name: feeder for feeder in places.feeders}
    return roster(places.dsos, places.interfaces, [f.entry for f in places.feeders], machines, within)


def port_of(places: Places) -> dict[str, str]:
    """Return, for every address that has actuators, the simulator that obeys there."""
    found = {station: "der" for station, _ in stations(places.feeders)}
    found |= {feeder.name: f"distribution_{feeder.entry.dso}" for feeder in places.feeders}
    found |= {interface.name: "transmission" for interface in places.interfaces}
    return found


class Route:
    """Sends orders to the simulator whose actuators stand at the receiver, all other mail to the sites."""

    def __init__(self, actuators: dict[str, str]) -> None:
        self._actuators = actuators

    def __call__(self, message: Message) -> str:
        """Return the port of a delivered message."""
        if message.topic.startswith("command/"):
            if message.receiver.startswith("gen."):
                return "transmission"
            if "device" in message.values:  # at whichever substation it arrives
                return "der"
            return self._actuators.get(message.receiver, "control")
        return "control"


def addresses(places: Places, machines: Sequence[str]) -> tuple[str, ...]:
    """Return every address of the network, in a fixed order."""
    return tuple(spot.name for spot in _spots(places, machines))
