"""Whose turn it is: all simulators one after the other, in one of the orders that mosaik's rules allow.

mosaik 3.6 keeps a task for each simulator and looks at every one anew after every step. What a simulator is handed
depends only on the order of those that are joined, and that is fixed: earlier steps first, at one instant whoever
feeds the others first, and a group from iteration to iteration until it is done. With one line to stand in a step
costs 0.05 ms beside its model instead of 0.8. Neighbours in the line that are due at once may step side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import chain
from operator import attrgetter
from typing import Any

from mosaik import scheduler
from mosaik.exceptions import SimulationError
from mosaik.tiered_time import TieredDuration, TieredTime

from sims.core.bridge import Bridge

Tiers = tuple[int, ...]
_NEVER = (float("inf"),)
WORTH_S = 2.5e-3
"""What a step must take to be worth a thread of its own: below, the interpreter's lock costs more than it gives."""


async def run(world: Any, until: int, threads: int = 1) -> None:
    """Let all simulators of a mosaik world step until the end of the run, as mosaik's own `run` does.

    Those in processes of their own are waited for at each of their steps. There is no real-time factor. With several
    `threads`, models that may (`sims.core.ports.Model`) step side by side; nobody sees a difference.

    Raises
    ------
    SimulationError
        A simulator steps too often at one instant, asks for a step in the past, or its connection is lost.
    """
    world.until = until
    runners = list(world._get_sim_runners().values())
    for sim in runners:
        if not _is_here(sim):
            await sim.setup_done()
    places = _places(runners)
    turns = {sim: _Turn(sim, places[sim]) for sim in runners}
    for turn in turns.values():
        turn.join(turns)
    line, due = list(turns.values()), attrgetter("due")
    with ExitStack() as stack:
        pool = None
        if threads > 1:
            pool = stack.enter_context(ThreadPoolExecutor(threads - 1, "beside"))
            _seat_beside(line)
        while (turn := min(line, key=due)).due[0] < until:
            if turn.model is None:
                turn.begin(world.max_loop_iterations)
                await _step_elsewhere(world, turn.sim, until)
                turn.sim.current_step = None
                for other in line:
                    other.look()
            else:
                party = [turn, *(other for other in turn.beside if turn.meets(other))]
                _step(party, world.max_loop_iterations, until, pool)
    for sim in runners:
        sim.progress.time = TieredTime(until) + sim.from_world_time


def _step(party: Sequence[_Turn], most: int, until: int, pool: ThreadPoolExecutor | None) -> None:
    """Let models step, as if one after the other."""
    for turn in party:
        turn.begin(most)
    others = [pool.submit(turn.work) for turn in party[1:]] if pool is not None else []
    asked_ms = [party[0].work(), *(other.result() for other in others)]
    for turn, next_ms in zip(party, asked_ms, strict=True):
        turn.end(next_ms, until)


def _seat_beside(line: Iterable[_Turn]) -> None:
    """Tell each in the line who may step beside it: those right behind it that neither hears the other.

    Nobody stands between them whom one could reach the other through at one instant.
    """
    ordered = sorted(line, key=attrgetter("places"))
    for i, turn in enumerate(ordered):
        for other in ordered[i + 1 :]:
            company = [turn, *turn.beside]
            if not turn.alike(other) or any(one.tells(other) or other.tells(one) for one in company):
                break
            turn.beside.append(other)


def _is_here(sim: Any) -> bool:
    return isinstance(getattr(sim._proxy, "sim", None), Bridge)


async def _step_elsewhere(world: Any, sim: Any, until: int) -> None:
    """Let a simulator in its own process step."""
    try:
        inputs = scheduler.get_input_data(world, sim)
        await scheduler.step(world, sim, inputs, scheduler.get_max_advance(world, sim, until))
        await scheduler.get_outputs(world, sim)
        scheduler.trigger_successors(sim)
    except ConnectionError as err:
        raise SimulationError(f'Simulator "{sim.sid}" closed its connection.', err) from err


class _Turn:
    """One simulator in the line: when it is due, and, if it is of this process, how it steps.

    Attributes
    ----------
    due : tuple
        Time of its next step, its place among all, iteration of its group, its place in the group, and so on inwards.
    beside : list of _Turn
        Who may step beside it when due at the same instant and iteration.
    """

    def __init__(self, sim: Any, places: Tiers) -> None:
        self.sim, self.places = sim, places
        self.model: Bridge | None = sim._proxy.sim if _is_here(sim) else None
        self.due: tuple[float, ...] = _NEVER
        self.beside: list[_Turn] = []
        self.look()

    def join(self, turns: dict[Any, _Turn]) -> None:
        """Find out whom it hands what, by port."""
        sim = self.sim
        self._pushes: dict[str, list[tuple[Any, int, str, str, str, Any]]] = {
            port: [
                (p.dest_sim.timed_input_buffer, p.delay.tiers[0], f"{sim.sid}.{entity}", *p.dest_port, p.transform)
                for p in pushes
            ]
            for (entity, port), pushes in sim.output_to_push.items()
        }
        self._triggers: dict[str, list[tuple[_Turn, TieredDuration]]] = {
            port: [(turns[other], delay) for other, delay in triggers] for (_, port), triggers in sim.triggers.items()
        }

    def look(self) -> None:
        """Set when it is due."""
        steps = self.sim.next_steps
        self.due = tuple(chain.from_iterable(zip(steps[0].tiers, self.places, strict=True))) if steps else _NEVER

    def alike(self, other: _Turn) -> bool:
        """Tell whether both may step in a thread of their own and stand in the same group."""
        may = all(turn.model is not None and getattr(turn.model.model, "threaded", False) for turn in (self, other))
        return may and self.places[:-1] == other.places[:-1]

    def tells(self, other: _Turn) -> bool:
        """Tell whether anything goes from here to `other` without anybody between."""
        triggered = any(to is other for triggers in self._triggers.values() for to, _ in triggers)
        return triggered or any(p.dest_sim is other.sim for pushes in self.sim.output_to_push.values() for p in pushes)

    def meets(self, other: _Turn) -> bool:
        """Tell whether `other` is due at the same instant and iteration, and both have steps worth a thread."""
        return self.due[:-1] == other.due[:-1] and self._lasting and other._lasting

    @property
    def _lasting(self) -> bool:
        model = self.model
        return model is not None and model.wall_s > WORTH_S * model.steps

    def begin(self, most: int) -> None:
        """Take up the step that is due, with what has come for it."""
        sim = self.sim
        step = sim.current_step = heappop(sim.next_steps)
        sim.progress.time = step
        if max(step.tiers[1:], default=0) >= most:
            raise SimulationError(f"Simulator {sim.sid} stepped more than {most} times at one instant: {step}")
        if self.model is not None:
            self._heard = self._inputs(step.tiers[0])

    def work(self) -> int:
        """Let the model step; return what it asks for next [ms]."""
        assert self.model is not None
        now = self.sim.current_step.tiers[0]
        return self.model.step(now, self._heard, now)

    def end(self, next_ms: int, until: int) -> None:
        """Schedule what the model asks for, and pass on what it tells."""
        sim, model = self.sim, self.model
        assert model is not None
        step = sim.last_step = sim.current_step
        now = step.tiers[0]
        if next_ms <= now:
            raise SimulationError(f"Simulator {sim.sid} asks at {now} for a step at {next_ms}, which is not later")
        if next_ms < until:
            self.schedule(later((next_ms,), sim.from_world_time))
        told = model.told()
        for port, value in told.items():
            for buffer, shift, source, entity, to, transform in self._pushes.get(port, ()):
                row = (now + shift, next(buffer.counter), source, entity, to, transform(value))
                heappush(buffer.input_queue, row)
        for port in told:
            for other, delay in self._triggers.get(port, ()):
                other.schedule(later(step.tiers, delay))
        sim.current_step = None
        self.look()

    def schedule(self, tiers: Tiers) -> None:
        """Let it step at `tiers`, once."""
        steps = self.sim.next_steps
        if not any(step.tiers == tiers for step in steps):
            heappush(steps, TieredTime(*tiers))
            self.look()

    def _inputs(self, now: int) -> dict[str, Any]:
        """Return what has come up to `now`, with what stays of before."""
        inputs = dict(self.sim.persistent_inputs)
        queue = self.sim.timed_input_buffer.input_queue
        while queue and queue[0][0] <= now:
            _, _, source, entity, port, value = heappop(queue)
            inputs.setdefault(entity, {}).setdefault(port, {})[source] = value
        return inputs


def later(tiers: Tiers, by: TieredDuration) -> Tiers:
    """Return the time `tiers` after a delay: its leading tiers are added, the others start anew."""
    delay: Tiers = by.tiers
    if by.cutoff == 1:
        return (tiers[0] + delay[0], *delay[1:])
    return tuple(map(int.__add__, tiers[: by.cutoff], delay)) + delay[by.cutoff :]


def _places(runners: Iterable[Any]) -> dict[Any, Tiers]:
    """Return where each simulator stands at one instant: the place of its outermost group, and so on inwards.

    Whoever feeds another at the same instant and iteration stands before it; they meet in the innermost group that
    holds both, where each stands for itself or as a group.
    """
    sorter: TopologicalSorter[Any] = TopologicalSorter()
    for sim in runners:
        own = _nest(sim)
        for node in own:
            sorter.add(node)
        for source, delays in sim.input_delays.items():
            for delay in delays.durations:
                if not any(delay.tiers[: delay.cutoff]):
                    sorter.add(own[delay.cutoff - 1], _nest(source)[delay.cutoff - 1])
    try:
        place = {node: number for number, node in enumerate(sorter.static_order())}
    except CycleError as err:
        loop = " -> ".join(getattr(node, "sid", "a group") for node in err.args[1])
        text = f"these wait for each other at one instant: {loop}; shift one of their connections"
        raise SimulationError(text) from None
    return {sim: tuple(place[node] for node in _nest(sim)) for sim in runners}


def _nest(sim: Any) -> list[Any]:
    """Return the groups around a simulator from the outermost on, as numbers, and the simulator."""
    around: list[Any] = [sim]
    group = sim.group
    while group is not None and group.parent is not None:
        around.append(id(group))
        group = group.parent
    return around[::-1]
