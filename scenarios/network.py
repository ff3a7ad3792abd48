"""The network of a scenario: who has an address, and what joins whom."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.responsibility import FROM_STAGE
from scenarios.places import Places, stations
from scenarios.schema import Scenario
from scenarios.schema_operation import CommsOutage, Tampering
from sims.comms.attacks import Tamper
from sims.comms.ledger import OTHER
from sims.comms.network import Network
from sims.comms.outages import Outage
from sims.comms.topology import Place, Rule, build_network
from sims.core.message import Message

TSO = "tso"

TOPICS = (
    "primary", "secondary", "der", "interface", "tie", "fault", "fault_indicator", "outage_call", "u_set", "request",
    *(f"command/{duty}" for duty in FROM_STAGE),
    *(f"consensus/{what}" for what in ("p", "q", "balance", "droop")),
    *(f"{what}/{quantity}" for what in ("capacity", "share")
      for quantity in ("p", "q", "cut", "droop", "relief0", "relief1")),
    *(f"flisr/{what}" for what in ("passed", "between", "agree", "dark", "need", "ask", "offer")),
    *(f"net/{what}" for what in ("offer", "request", "accept", "confirm")),
    "boundary", "admm", "switched", OTHER,
)
"""Topics of the message log; what a user's controllers write under names of their own counts as other."""



def build(scenario: Scenario, places: Places, machines: Sequence[str]) -> Network:
    """Return the network with everybody on it; the same in every pairing."""
    via = scenario.communication.technology
    rules = [
        Rule("substation", "parent", via("substation", "primary")),
        Rule("agent", "parent", via("agents")),
        Rule("agent", "neighbour", via("agents")),
        Rule("primary", "parent", via("primary", "dms")),
        Rule("primary", "neighbour", via("cells")),
        Rule("dms", "parent", via("dms", "tso")),
        Rule("crew", "parent", via("crew", "dms")),
    ]
    outages = [
        Outage(d.node, at := scenario.at_ms(d), at + d.duration_ms, "node")
        for d in scenario.disturbances if isinstance(d, CommsOutage)
    ]
    spots = _spots(places, machines)
    above = {spot.name: spot.parent for spot in spots}
    attacks = [
        Tamper(f"{d.node}--{above[d.node]}", at := scenario.at_ms(d), at + d.duration_ms, bias=d.bias, topic=d.topic)
        for d in scenario.disturbances if isinstance(d, Tampering)
    ]
    return build_network(rules, spots, seed=scenario.seed, outages=outages, attacks=attacks, topics=TOPICS)


def _spots(places: Places, machines: Sequence[str]) -> list[Place]:
    """Return every address: a primary hangs on its interface substation, that on the DMS, that on the TSO."""
    interfaces = [i.name for i in places.interfaces]
    spots = [Place(TSO, "tso")]
    spots += [Place(f"gen.{name}", "primary", TSO) for name in machines]
    for dso in places.dsos:
        spots += [Place(f"{dso}.dms", "dms", TSO), Place(f"{dso}.crew", "crew", f"{dso}.dms")]
    for interface in places.interfaces:
        others = tuple(name for name in interfaces if name != interface.name)
        spots.append(Place(interface.name, "primary", f"{interface.dso}.dms", neighbours=others))
    for feeder in places.feeders:
        spots.append(Place(feeder.name, "primary", places.interfaces[feeder.entry.interface].name))
        for k, agent in enumerate(feeder.agents):
            near = tuple(feeder.agents[other] for other in feeder.plan.areas.neighbours[k])
            spots.append(Place(agent, "agent", feeder.name, neighbours=near))
    spots += [Place(station, "substation", primary) for station, primary in stations(places.feeders)]
    return spots


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
