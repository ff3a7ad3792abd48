"""mosaik's scheduling rules, decided in a fraction of the time.

After every step mosaik 3.6 looks at every simulator anew, with tiered times as Python objects, a task for every
wait and a coroutine for every call. The rules below are the same (who may step, when, and what it is handed); they
leave out what cannot change the answer, wait for one thing after the other, and call the models of this process
directly. With them a step costs a fifth of a millisecond instead of 0.8.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from time import perf_counter
from typing import Any

from mosaik import scheduler
from mosaik.exceptions import SimulationError
from mosaik.tiered_time import TieredDuration, TieredTime

from sims.core.bridge import Bridge

Tiers = tuple[int, ...]


@contextmanager
def quick_scheduling() -> Iterator[None]:
    """Let mosaik decide by the functions of this file until the block ends.

    They know no real-time factor: a world that is run with one must not be run inside.
    """
    names = ("sim_process", "advance_progress", "next_step_settled", "wait_for_dependencies")
    before = {name: getattr(scheduler, name) for name in names}
    for name in names:
        setattr(scheduler, name, globals()[name])
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(scheduler, name, function)


async def sim_process(
    world: Any, sim: Any, until: int, rt_factor: None, rt_strict: bool, lazy_stepping: bool, barrier: Any
) -> None:
    """Let `sim` step until the end of the run, each time as soon as all that it waits for has come."""
    sim.started, sim.rt_start = True, perf_counter()
    await barrier.wait()
    everybody = world._get_sim_runners()
    concerned = [other for other in everybody.values() if other is sim or sim in other.triggering_ancestors]
    model, wires = getattr(sim._proxy, "sim", None), _Wires(sim)
    try:
        advance_progress(sim, world)
        while await next_step_settled(sim, world):
            await world.running.wait()
            await wait_for_dependencies(sim, lazy_stepping)
            step = sim.current_step = heappop(sim.next_steps)
            if max(step.tiers[1:], default=0) >= world.max_loop_iterations:
                most = world.max_loop_iterations
                raise SimulationError(f"Simulator {sim.sid} stepped more than {most} times at one instant: {step}")
            if isinstance(model, Bridge):
                wires.step(model, step, world.until)
            else:
                inputs = scheduler.get_input_data(world, sim)
                await scheduler.step(world, sim, inputs, scheduler.get_max_advance(world, sim, until))
                await scheduler.get_outputs(world, sim)
                scheduler.trigger_successors(sim)
                world.sim_progress = scheduler.get_progress(everybody, until)
            sim.current_step = None
            for other in concerned:
                advance_progress(other, world)
    except ConnectionError as err:
        raise SimulationError(f'Simulator "{sim.sid}" closed its connection.', err) from err


class _Wires:
    """Hands inputs to one model of this process, and what it tells to those that are connected to it."""

    def __init__(self, sim: Any) -> None:
        self._sim = sim
        self._pushes: dict[str, list[tuple[Any, int, str, str, str, Any]]] = {}
        self._triggers: dict[str, list[tuple[Any, TieredDuration]]] = {}
        for (entity, port), pushes in sim.output_to_push.items():
            self._pushes[port] = [
                (p.dest_sim.timed_input_buffer, p.delay.tiers[0], f"{sim.sid}.{entity}", *p.dest_port, p.transform)
                for p in pushes
            ]
        for (_, port), triggers in sim.triggers.items():
            self._triggers[port] = triggers

    def step(self, model: Bridge, step: TieredTime, until: int) -> None:
        """Let the model step, schedule what it asks for, and pass on what it tells."""
        sim, now = self._sim, step.tiers[0]
        next_ms = model.step(now, self._inputs(now), now)
        sim.last_step = step
        if next_ms <= now:
            raise SimulationError(f"Simulator {sim.sid} asks at {now} for a step at {next_ms}, which is not later")
        if next_ms < until:
            schedule(sim, later((next_ms,), sim.from_world_time))
        told = model.told()
        for port, value in told.items():
            for buffer, shift, source, entity, to, transform in self._pushes.get(port, ()):
                row = (now + shift, next(buffer.counter), source, entity, to, transform(value))
                heappush(buffer.input_queue, row)
        for port in told:
            for other, delay in self._triggers.get(port, ()):
                schedule(other, later(step.tiers, delay))

    def _inputs(self, now: int) -> dict[str, Any]:
        """Return what has come up to `now`, with what stays of before."""
        sim = self._sim
        inputs = dict(sim.persistent_inputs)
        queue = sim.timed_input_buffer.input_queue
        while queue and queue[0][0] <= now:
            _, _, source, entity, port, value = heappop(queue)
            inputs.setdefault(entity, {}).setdefault(port, {})[source] = value
        return inputs


def schedule(sim: Any, tiers: Tiers) -> None:
    """Let `sim` step at `tiers`, once."""
    steps = sim.next_steps
    if any(step.tiers == tiers for step in steps):
        return
    earlier = not steps or tiers < steps[0].tiers
    heappush(steps, TieredTime(*tiers))
    if earlier:
        sim.newer_step.set()


def later(tiers: Tiers, by: TieredDuration) -> Tiers:
    """Return the time `tiers` after a delay: its leading tiers are added, the others start anew."""
    delay: Tiers = by.tiers
    if by.cutoff == 1:
        return (tiers[0] + delay[0], *delay[1:])
    return tuple(map(int.__add__, tiers[: by.cutoff], delay)) + delay[by.cutoff :]


def advance_progress(sim: Any, world: Any) -> None:
    """Move `sim` on to the earliest time at which anything may still make it step.

    That is its own next step, or what the next step of an ancestor can trigger; no delay is negative, so an
    ancestor that steps later than what is known already is passed over.
    """
    own = sim.next_steps
    earliest: Tiers = (world.until,)
    if own:
        earliest = min(own[0].tiers, earliest)
    if sim.current_step is not None:
        earliest = min(sim.current_step.tiers, earliest)
    for ancestor, distance in sim.triggering_ancestors.items():
        steps = ancestor.next_steps
        if steps and steps[0].tiers[0] <= earliest[0]:
            tiers = steps[0].tiers
            for duration in distance.durations:
                if tiers[0] + duration.tiers[0] <= earliest[0]:
                    earliest = min(later(tiers, duration), earliest)
    progress = sim.progress
    if earliest == (world.until,):
        earliest = later(earliest, sim.from_world_time)
    if earliest != progress.time.tiers:
        _move(progress, earliest)
        if earliest[0] >= world.until or (own and own[0].tiers == earliest):
            sim.newer_step.set()


def _move(progress: Any, tiers: Tiers) -> None:
    """Set `progress` to `tiers`, and wake whom that concerns."""
    progress.time = time = TieredTime(*tiers)
    waiting = progress._futures
    for i in reversed(range(len(waiting))):
        (target, shift, to_pass), future = waiting[i]
        if tiers[0] + shift.tiers[0] < target.tiers[0]:
            continue
        reached = later(tiers, shift)
        if reached > target.tiers or (not to_pass and reached == target.tiers):
            del waiting[i]
            if not future.cancelled():
                future.set_result(time)


async def next_step_settled(sim: Any, world: Any) -> bool:
    """Wait until nothing can come before the next step of `sim`; return False at the end of the run."""
    while sim.progress.time.tiers[0] < world.until:
        if sim.next_steps and sim.next_steps[0].tiers == sim.progress.time.tiers:
            return True
        await sim.newer_step.wait()
        sim.newer_step.clear()
    return False


async def wait_for_dependencies(sim: Any, lazy_stepping: bool) -> None:
    """Wait until all that gives `sim` input has passed its step, and nobody it feeds lags behind."""
    step: TieredTime = sim.next_steps[0]
    now = step.tiers[0]
    for source, delays in sim.input_delays.items():
        for delay in delays.durations:
            tiers = source.progress.time.tiers
            if tiers[0] + delay.tiers[0] <= now and later(tiers, delay) <= step.tiers:
                await source.progress.has_passed(step, shift=delay)
    followers = [sim.successors_to_wait_for, sim.successors] if lazy_stepping else [sim.successors_to_wait_for]
    for group in followers:
        for follower, ahead in group.items():
            tiers = follower.progress.time.tiers
            if tiers[0] <= now and tiers < (due := later(step.tiers, ahead)):
                await follower.progress.has_reached(TieredTime(*due))
