"""The world as gridseam uses it: few simulators, whole arrays, one way to connect and run them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mosaik import World
from mosaik.starters import PythonStarter

from sims.core.bridge import STATE, Bridge
from sims.core.errors import ModelError
from sims.core.pace import quick_scheduling
from sims.core.ports import Model

_ABSENT = object()


class Harness:
    """Models, their connections and the run; mosaik does the scheduling.

    mosaik's cache stays off: with it, time-shifted sources silently deliver nothing.
    """

    def __init__(self, *, max_loop_iterations: int = 200) -> None:
        self._world = World(
            {},
            cache=False,
            max_loop_iterations=max_loop_iterations,
            skip_greetings=True,
            configure_logging=False,
        )
        self.bridges: dict[str, Bridge] = {}
        self._entities: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Harness:
        self._world.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        loop = self._world.loop
        pending = asyncio.all_tasks(loop) if not loop.is_closed() else set()
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._world.__exit__(*exc)

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

    def _port(self, name: str, port: str) -> Any:
        entities = self._entities[name]
        return entities.get(f"port_{port}", entities[STATE])

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

    def run(self, until_ms: int) -> None:
        """Run to `until_ms` (that step excluded).

        Raises
        ------
        ModelError
            A simulator failed, or stopped before the end without saying so.
        """
        with _rarely_collecting(), quick_scheduling():
            self._world.run(until=until_ms, print_progress=False)
        for sid, runner in self._world.compile(use_cache=True).items():
            reached = runner.progress.time.time
            if reached < until_ms:
                raise ModelError(sid, reached, f"stopped before the end at {until_ms / 1000:.0f} s")


@contextmanager
def _rarely_collecting() -> Iterator[None]:
    """Let the garbage collector leave out what is there already, and look less often at what comes.

    A run keeps some hundred thousand long-lived objects and makes few cycles; at Python's defaults the
    collector takes an eighth of the time of a run with many messages.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
