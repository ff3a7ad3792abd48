"""Watch: tells the operator what has gone wrong on the picture of the grid, and who is nearest to help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.congestion import Limits, violated
from controllers.dms.feeder_file import Picture
from controllers.dms.gis import nearest_resources
from controllers.logbook import Standing, alarm
from sims.core.message import Message

NAMED = 10
"""How many buses without telemetry an alarm names."""
HELPERS, LOOKED_AT = 3, 30
"""How many of the nearest resources an alarm names, and of how many devices; those of a kind at one place are one."""

class Watch:
    """Raises an alarm when something begins: a breaker that trips, a limit violated, a meter left out, silence.

    Of each feeder the worst voltage and the worst loading are told, with the resources that act most on that place
    by electrical distance. A voltage measurement that the estimate left out is named by its bus; a whole set that
    fails the chi-square test must do so twice running, for one in twenty clean sets fails it. A primary substation
    from which nothing has come for `silence_s` is silent. Substations of which nothing was ever heard are named once
    a frame should have come: what they draw is load allocation, no measurement.

    Settings: `silence_s` (180).
    """

    urgent = frozenset({"fault"})

    def __init__(self, site: Site) -> None:
        self._site, self._desk = site, Desk(site)
        self._silence_ms = int(1000 * float(site.settings.get("silence_s", 180.0)))
        self._seen: dict[str, int] = {}
        self._limits, self._meters = Standing(), Standing()
        self._doubts, self._silent, self._blind = Standing(patience=2), Standing(away=1), Standing(patience=4)

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("fault")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return what has begun since the last look."""
        now_ms, state = self._desk.read(now_s, inbox), self._desk.state
        files = state.files
        out = [self._trip(message) for message in inbox if message.topic == "fault" and message.sender in files]
        silent = [name for name, f in files.items() if 0 <= f.primary_ms < now_ms - self._silence_ms]
        for name in self._silent.news(silent):
            since_s = (now_ms - files[name].primary_ms) / 1000
            out.append(alarm(self._site, "telemetry", f"nothing heard of {name} for {since_s:.0f} s", since_s))
        pictures = zip(files, state.pictures(now_ms), strict=True)
        drawn = {name: p for name, p in pictures if p is not None and self._seen.get(name) != p.at_ms}
        if drawn:
            self._seen |= {name: picture.at_ms for name, picture in drawn.items()}
            out += self._violations(drawn) + self._bad_data(drawn) + self._unobserved(drawn)
        return out

    def _unobserved(self, drawn: dict[str, Picture]) -> list[Message]:
        """Return the alarms about nodes that no meter has told of, by feeder."""
        blind = {name: picture.unheard for name, picture in drawn.items() if len(picture.unheard)}
        out = []
        for name in self._blind.news(blind):
            bus = self._desk.state.files[name].belief.grid.node_bus[blind[name]]
            named, more = ", ".join(str(b) for b in bus[:NAMED].tolist()), len(bus) - NAMED
            text = f"{name}: never heard of bus {named}" + (f" and {more} more" if more > 0 else "")
            out.append(alarm(self._site, "telemetry", text, float(len(bus))))
        return out

    def _trip(self, message: Message) -> Message:
        line = int(np.ravel(message.values["tripped_line"])[0])
        return alarm(self._site, "trip", f"{message.sender}: the breaker of line {line} has tripped", float(line))

    def _violations(self, drawn: dict[str, Picture]) -> list[Message]:
        """Return the alarms about limits of feeders estimated just now."""
        grid, found = self._site.grid, {}
        limits = Limits(grid.v_min_pu, grid.v_max_pu, grid.loading_max_percent)
        for name, picture in drawn.items():
            nodes, branches = violated(picture, limits)
            if nodes:
                free = picture.topology.free
                v = np.abs(picture.v[free])
                high, low = int(v.argmax()), int(v.argmin())
                if v[high] > grid.v_max_pu:
                    found[f"{name}: too high"] = (name, "voltage", int(free[high]), float(v[high]))
                if v[low] < grid.v_min_pu:
                    found[f"{name}: too low"] = (name, "voltage", int(free[low]), float(v[low]))
            if branches:
                full = int(picture.loading.argmax())
                found[f"{name}: overloaded"] = (name, "loading", full, float(picture.loading[full]))
        return [self._violation(drawn[found[key][0]], *found[key]) for key in self._limits.news(found)]

    def _violation(self, picture: Picture, name: str, kind: str, place: int, value: float) -> Message:
        """Return one alarm, with who is nearest by electrical distance."""
        belief, topology = self._desk.state.files[name].belief, picture.topology
        grid = belief.grid
        if kind == "loading":
            node = int(grid.branch_to[place])
            text = f"{name}: {grid.branch_kind[place]} {int(grid.branch_element[place])} at {value:.0f} %"
        else:
            node, text = place, f"{name}: {value:.3f} pu at bus {int(grid.node_bus[place])}"
        if topology.live[node]:
            devices = belief.devices
            found = nearest_resources(topology, devices, node, most=LOOKED_AT)
            near = dict.fromkeys(
                f"{devices.kind[row]} at {belief.gateways[devices.node[row]] or name} ({z:.1f} ohm)"
                for row, z in zip(found.row.tolist(), found.z_ohm.tolist(), strict=True)
            )
            text += f"; nearest: {', '.join(list(near)[:HELPERS])}" if near else ""
        return alarm(self._site, kind, text, value)

    def _bad_data(self, drawn: dict[str, Picture]) -> list[Message]:
        """Return the alarms about measurements of feeders estimated just now."""
        left: dict[str, tuple[str, float]] = {}
        failed: dict[str, tuple[str, float]] = {}
        for name, picture in drawn.items():
            bus = self._desk.state.files[name].belief.grid.node_bus
            for node in picture.left_out.tolist():
                left[f"{name}.b{bus[node]}"] = f"{name}: voltage of bus {bus[node]} left out", picture.objective
            if not len(picture.left_out) and 0.0 < picture.threshold < picture.objective:
                text = f"{name}: chi-square {picture.objective:.0f} above {picture.threshold:.0f}"
                failed[name] = text, picture.objective
        told = [left[key] for key in self._meters.news(left)] + [failed[key] for key in self._doubts.news(failed)]
        return [alarm(self._site, "bad_data", text, value) for text, value in told]
