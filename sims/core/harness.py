"""The world as gridseam uses it: few simulators, whole arrays, one way to connect and run them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mosaik import World
from mosaik.exceptions import ConnectionClosedError, SimulationError
from mosaik.starters import PythonStarter
from mosaik.tiered_time import TieredTime
from mosaik_api_v3.connection import RemoteException

from sims.core import pace
from sims.core.bridge import STATE, Bridge
from sims.core.errors import ModelError, nearest
from sims.core.ports import Model
from sims.core.process import Process

_ABSENT = object()
LOOK_S = 0.5
"""How often the processes of other simulators are looked after."""
PATIENCE_S = 2.0
"""How long they may take to end once they have been asked to."""
_RUNNER = "Runner for "


class Harness:
    """Models, their connections and the run; mosaik does the scheduling.

    mosaik's cache stays off: with it, time-shifted sources silently deliver nothing.
    """

    def __init__(self, *, max_loop_iterations: int = 200) -> None:
        self._world = World(
            {},
            cache=False,
            time_resolution=0.001,
            max_loop_iterations=max_loop_iterations,
            skip_greetings=True,
            configure_logging=False,
        )
        self.bridges: dict[str, Bridge] = {}
        self._entities: dict[str, dict[str, Any]] = {}
        self._reached_ms = -1
        self._processes: dict[str, Process] = {}
        self._pauses_ms: list[int] = []
        self._at_pause: Callable[[int], object] = int

    def __enter__(self) -> Harness:
        self._world.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        if exc[0] is not None:
            self._end_processes()  # in the midst of a request they cannot be asked to
        try:
            loop = self._world.loop
            while not loop.is_closed() and (pending := _running(loop)):
                for task in pending:
                    task.cancel()
                with suppress(KeyboardInterrupt):  # the user's once more, from those who waited for who met it
                    loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self._world.__exit__(*exc)
        finally:
            self._end_processes(PATIENCE_S)

    def _end_processes(self, patience_s: float = 0.0) -> None:
        """See that no process of another simulator outlives the world."""
        for process in self._processes.values():
            process.end(patience_s)

    @contextmanager
    def group(self) -> Iterator[None]:
        """Models added inside may iterate at one instant over weak connections."""
        with self._world.group():
            yield

    def add(self, name: str, model: Model) -> None:
        """Start `model` as the simulator `name`; it steps first at time 0."""
        holder: list[Bridge] = []

        class Started(Bridge):
            def __init__(self) -> None:
                super().__init__(model)
                holder.append(self)

        factory = self._world.start(PythonStarter(Started), sim_id=name)
        kinds = holder[0].meta["models"]
        self._entities[name] = {kind: getattr(factory, kind)() for kind in kinds}
        self.bridges[name] = holder[0]
        self._world.set_initial_event(name, 0)

    def start(
        self, name: str, command: str, model: str, labels: Sequence[str], settings: Mapping[str, Any],
        params: Mapping[str, Any], *, parts: Sequence[str] = (), folder: Path = Path(),
    ) -> None:
        """Start the simulator `name` in a process of its own, in `folder`, with one entity of `model` for each label.

        With `parts` there is one entity, and the labels are for what it brings with it under these ids. `command`
        holds ``%(addr)s``. Its time is that of the run, 1 ms a step. A world with such a simulator does not pause,
        because nothing can ask it for its state.

        Raises
        ------
        ModelError
            It does not start, refuses what it is given, or does not bring one of `parts`.
        """
        try:
            process = self._processes[name] = Process(command, folder)
            factory = self._world.start(process, sim_id=name, **settings)
            made = getattr(factory, model).create(1 if parts else len(labels), **params)
        except (Exception, SystemExit) as err:  # mosaik's way to say that the connection is lost
            raise ModelError(name, 0, f"does not start: {type(err).__name__}: {err}") from err
        if parts:
            brought = made[0].children_dict
            for part in parts:
                if part not in brought:
                    raise ModelError(name, 0, f"{model} brings no '{part}'{nearest(part, brought)}")
            made = [brought[part] for part in parts]
        self._entities[name] = dict(zip(labels, made, strict=True))

    def _port(self, name: str, port: str) -> Any:
        entities = self._entities[name]
        return entities.get(f"port_{port}", entities[STATE])

    def listen(self, name: str, label: str, attribute: str, dst: str, dst_port: str) -> bool:
        """Carry an attribute of an entity of a simulator in its own process to a port of one of ours.

        Returns whether the entity has such an attribute.
        """
        entity = self._entities[name][label]
        if attribute not in entity.model_mock.output_attrs:
            return False
        self._world.connect_one(entity, self._port(dst, dst_port), attribute, dst_port)
        return True

    def connect(
        self, src: str, src_port: str, dst: str, dst_port: str | None = None, *,
        shifted: bool = False, weak: bool = False, initial: Any = _ABSENT,
    ) -> None:
        """Carry `src_port` to `dst_port`.

        Parameters
        ----------
        shifted : bool
            Arrive one tick (1 ms) later; closes a cycle between instants.
        weak : bool
            Arrive at the same instant in a further iteration; closes a cycle inside a group.
        initial : object
            What a shifted or weak state port reads before anything was written.
        """
        extra: dict[str, Any] = {} if initial is _ABSENT else {"initial_data": initial}
        dst_port = dst_port or src_port
        self._world.connect_one(
            self._port(src, src_port), self._port(dst, dst_port), src_port, dst_port,
            time_shifted=1 if shifted else False, weak=weak, **extra,
        )

    def pausing(self, pauses_ms: Iterable[int], at_pause: Callable[[int], object]) -> None:
        """Let `run` pause at these instants: everybody waits until `at_pause` has returned.

        All steps before are done then, none from there on is: the moment at which `get_state` may be asked.
        """
        self._pauses_ms, self._at_pause = sorted(pauses_ms), at_pause

    def run(self, until_ms: int, threads: int = 1) -> None:
        """Run to `until_ms` (that step excluded), from 0 or from where `set_state` has put it.

        Models that may step side by side do so on up to `threads` of a processor's cores; results are the same.

        Raises
        ------
        ModelError
            A simulator failed.
        """
        with rarely_collecting():
            for pause_ms in [] if self._processes else self._pauses_ms:
                if self._reached_ms < pause_ms < until_ms:
                    self._run_leg(pause_ms, threads)
                    self._rest()
                    self._at_pause(pause_ms)
            self._run_leg(until_ms, threads)

    def _rest(self) -> None:
        """Let models drop what no state keeps, so that a run goes on alike with and without a restart."""
        for bridge in self.bridges.values():
            rest = getattr(bridge.model, "rest", None)
            if rest is not None:
                rest()

    def _run_leg(self, end_ms: int, threads: int) -> None:
        """Run everybody to `end_ms`; mosaik forgets the steps asked for beyond, so they are asked for again."""
        runners = self._runners()
        for sid, bridge in self.bridges.items():
            runner = runners[sid]
            for t_ms in sorted(bridge.ahead):
                runner.schedule_step(TieredTime(t_ms) + runner.from_world_time)
            bridge.ahead, bridge.until_ms = set(), end_ms
        world = self._world._async_world
        world._init_progress_bars(end_ms, False)
        try:
            run = pace.run(world, end_ms, threads)
            if self._processes:
                run = self._watched(run)
            loop = self._world.loop
            loop.run_until_complete(loop.create_task(run, name=f"{_RUNNER}everybody"))
        except (ConnectionClosedError, SimulationError, RemoteException) as err:
            if not self._processes:
                raise
            raise self._named(err) from err
        self._reached_ms = end_ms

    async def _watched(self, steps: Coroutine[Any, Any, None]) -> None:
        """Run, and look now and then whether the processes of others are still there: mosaik would wait for ever."""
        run = asyncio.create_task(steps, name=f"{_RUNNER}everybody")
        try:
            while not run.done():
                await asyncio.wait({run}, timeout=LOOK_S)
                for name, process in self._processes.items():
                    if not run.done() and (code := process.ended()) is not None:
                        run.cancel()
                        at_ms = self._runners()[name].progress.time.time
                        raise ModelError(name, at_ms, f"its process has ended (code {code})")
            await run
        finally:
            if run.done() and not run.cancelled():
                run.exception()  # the user's interrupt is on its way already; asyncio need not tell of it, too

    def _named(self, err: Exception) -> ModelError:
        """Return what a simulator in its own process died of, with its name and time."""
        name = next((n for n in self._entities if n not in self.bridges and n in str(err)), "a simulator")
        runner = self._runners().get(name)
        return ModelError(name, runner.progress.time.time if runner else 0, f"{type(err).__name__}: {err}")

    def _runners(self) -> dict[str, Any]:
        runners: dict[str, Any] = self._world.compile(use_cache=True)
        return runners

    def get_state(self) -> dict[str, Any]:
        """Return all that a restart at the present pause needs: every model's state, and what is under way to it.

        Raises
        ------
        ModelError
            A model has no state that could be kept now.
        """
        return {
            "reached_ms": self._reached_ms,
            "models": {sid: bridge.model.get_state() for sid, bridge in self.bridges.items()},
            "outputs": {sid: dict(bridge.outputs) for sid, bridge in self.bridges.items()},
            "steps": {
                sid: [[*(step.tiers for step in runner.next_steps)], sorted(self.bridges[sid].ahead)]
                for sid, runner in self._runners().items()
            },
            "inputs": {sid: runner.persistent_inputs for sid, runner in self._runners().items()},
            "under_way": {
                sid: [row[:1] + row[2:] for row in sorted(runner.timed_input_buffer.input_queue, key=_order)]
                for sid, runner in self._runners().items()
            },
        }  # fmt: skip

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` of an equally built world returned; before `run`."""
        self._reached_ms = state["reached_ms"]
        for sid, runner in self._runners().items():
            bridge = self.bridges[sid]
            bridge.model.set_state(state["models"][sid])
            bridge.outputs.update(state["outputs"][sid])
            scheduled, ahead = state["steps"][sid]
            runner.next_steps = [TieredTime(*tiers) for tiers in scheduled]
            bridge.ahead = set(ahead)
            runner.persistent_inputs = state["inputs"][sid]
            for t_ms, source, entity, port, value in state["under_way"][sid]:
                runner.timed_input_buffer.add(t_ms, *source.split(".", 1), entity, port, value)


def _running(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    """Return the tasks that step simulators; not those that hear processes."""
    return {task for task in asyncio.all_tasks(loop) if task.get_name().startswith(_RUNNER)}


def _order(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[0], row[1]


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Let the garbage collector leave out what is there already, and look less often at what comes.

    Assembly makes some hundred thousand long-lived objects and a run few cycles; at Python's defaults the
    collector takes an eighth of the time of either. It may be nested: the inner one leaves out what has come since.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
