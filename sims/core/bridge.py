"""The bridge: makes any plain model a mosaik simulator."""

from __future__ import annotations

import time
from typing import Any

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest
from numpy.typing import NDArray

from sims.core.errors import GridseamError, ModelError
from sims.core.ports import Model, frozen

STATE = "state"
"""The entity that carries all state ports; every event port is an entity of its own, because mosaik
delivers an event again at each step where it shares an entity with state."""


class Bridge(mosaik_api_v3.Simulator):
    """One model as one mosaik simulator with whole arrays on its ports.

    Attributes
    ----------
    wall_s, steps : float, int
        What the model's steps have cost, and how many there were.
    until_ms, ahead : int, set of int
        Where the present leg of the run ends, and the steps asked for from there on, which mosaik forgets.

    Raises
    ------
    ModelError
        Whatever the model raised, with its name and time; mosaik would mask some of it.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.wall_s = 0.0
        self.steps = 0
        self.until_ms = 0
        self.ahead: set[int] = set()
        self._now_ms = 0
        self._state: dict[str, Any] = {}
        self._written: dict[str, Any] = {}
        self._events: dict[str, Any] = {}
        ports = model.ports
        models: dict[str, Any] = {
            STATE: {
                "public": True, "params": [], "attrs": [*ports.reads, *ports.writes],
                "non-trigger": [*ports.reads, *ports.writes], "persistent": [*ports.reads, *ports.writes],
            }
        }
        for port in dict.fromkeys((*ports.hears, *ports.tells)):
            models[f"port_{port}"] = {
                "public": True, "params": [], "attrs": [port],
                "trigger": [port], "non-persistent": [port],
            }
        meta: Meta = {"api_version": "3.0", "type": "hybrid", "models": models}
        super().__init__(meta)  # type: ignore[no-untyped-call]

    def init(self, sid: str, time_resolution: float = 1.0, **_: Any) -> Meta:
        """Take the simulator's name from mosaik."""
        self.name = sid
        return self.meta

    def create(self, num: int, model: str, **_: Any) -> list[CreateResult]:
        """Create the one entity of a kind; its id is the kind."""
        return [{"eid": model, "type": model}]

    def step(self, time_ms: int, inputs: InputData, max_advance: int) -> int:
        """Hand the inputs to the model by port, keep what it gives back; no model asks how far it may advance."""
        by_port: dict[str, dict[str, Any]] = {}
        for attrs in inputs.values():
            for port, sources in attrs.items():
                by_port[port] = {source.split(".", 1)[0]: value for source, value in sources.items()}
        started = time.perf_counter()
        try:
            result = self.model.step(time_ms, by_port)
        except GridseamError:
            raise
        except Exception as err:
            raise ModelError(self.name, time_ms, f"{type(err).__name__}: {err}") from err
        finally:
            self.wall_s += time.perf_counter() - started
            self.steps += 1
        self._now_ms = time_ms
        self._written, self._events = {}, {}
        for port, value in result.outputs.items():
            if port in self.model.ports.tells:
                self._events[port] = value
            elif port in self.model.ports.writes:
                self._written[port] = self._sound(port, value, time_ms) if isinstance(value, np.ndarray) else value
            else:
                raise ModelError(self.name, time_ms, f"wrote to '{port}', which is not one of its ports")
        self._state.update(self._written)
        next_ms = int(result.next_ms)
        if next_ms >= self.until_ms:
            self.ahead.add(next_ms)
        return next_ms

    def _sound(self, port: str, value: NDArray[Any], time_ms: int) -> NDArray[Any]:
        """Return what goes out at a state port, or refuse it: it must keep its shape and be finite.

        What its model could still write to is copied.
        """
        before = self._state.get(port)
        if isinstance(before, np.ndarray) and before.shape != value.shape:
            raise ModelError(
                self.name, time_ms, f"wrote shape {value.shape} to '{port}', where it was {before.shape} before"
            )
        if port in self.model.ports.finite and not np.isfinite(value).all():
            at = np.argwhere(~np.isfinite(value))[0].tolist()
            raise ModelError(self.name, time_ms, f"wrote {value[tuple(at)]} to '{port}' at {at}")
        return frozen(value) if value.flags.writeable else value

    def finalize(self) -> None:
        """Let the model give back what it holds beyond memory."""
        release = getattr(self.model, "release", None)
        if release is not None:
            release()

    @property
    def outputs(self) -> dict[str, Any]:
        """What its state ports hold."""
        return self._state

    def told(self) -> dict[str, Any]:
        """Return what the last step wrote, by port."""
        return self._written | self._events

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Give what was asked as far as the last step wrote it; mosaik keeps older state for its readers."""
        data: dict[str, Any] = {}
        for eid, attrs in outputs.items():
            held = self._written if eid == STATE else self._events
            found = {attr: held[attr] for attr in dict.fromkeys(attrs) if attr in held}
            if found:
                data[eid] = found
        data["time"] = self._now_ms
        return data
