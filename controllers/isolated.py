"""A process in which a user's controllers decide apart from the run: answers one question after the other."""

from __future__ import annotations

import faulthandler
import io
import pickle
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from controllers.contract import Controller, Site
from controllers.isolation import NET
from controllers.loading import built, load_class
from controllers.memory import Memory
from sims.core.errors import ControllerError, GridError, GridseamError
from sims.core.message import Message
from sims.core.packing import packed, unpacked


def serve(fd: int) -> None:
    """Build the controllers that the first request from the pipe `fd` is about, and answer until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run is interrupted, and ends this process
    faulthandler.enable()
    pipe: Connection[Any, Any] = Connection(fd)
    try:
        seats = _seated(pipe.recv_bytes())
    except GridseamError as err:
        pipe.send_bytes(pickle.dumps((False, err), 5))
        return
    pipe.send_bytes(pickle.dumps((True, [seat.traits for seat in seats]), 5))
    while True:
        try:
            what, number, *about = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        pipe.send_bytes(_answered(getattr(seats[number], what), about))


def _answered(method: Any, about: Sequence[Any]) -> bytes:
    """Return whether it went well with the answer, or with what was wrong."""
    try:
        return pickle.dumps((True, method(*about)), 5)
    except ControllerError as err:
        return pickle.dumps((False, err.text), 5)
    except (Exception, SystemExit) as err:  # noqa: BLE001  whatever a user's controller may raise
        return pickle.dumps((False, f"{type(err).__name__}: {err}"), 5)


class Seat:
    """A controller at its site."""

    def __init__(self, site: Site, controller: Controller) -> None:
        self._controller, self._memory = controller, Memory([(site, controller)])
        self.traits = frozenset(controller.urgent), getattr(controller, "reads", None)

    def decide(self, now_s: float, inbox: list[Message]) -> tuple[Any, Any]:
        """Return what it sends, and until when it is put off."""
        return self._controller.decide(now_s, inbox), getattr(self._controller, "due_s", None)

    def get_state(self) -> bytes:
        """Return what it remembers."""
        return packed(self._memory.get_state(), self._memory.fixed)

    def set_state(self, state: bytes) -> None:
        """Continue from `get_state`."""
        self._memory.set_state(unpacked(state, self._memory.fixed))


def _seated(first: bytes) -> list[Seat]:
    reference, beside, sites = _Reader(io.BytesIO(first)).load()
    made = load_class(reference, Path(beside))
    seats = []
    for site in sites:
        controller = built(made, site)
        if getattr(controller, "board", None) is not None:
            raise ControllerError(site.name, 0, f"{reference} shares a board with others; it cannot be isolated")
        seats.append(Seat(site, controller))
    return seats


class _Reader(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        if pid != NET:
            raise pickle.UnpicklingError(f"{pid}?")
        return _net


def _net() -> Any:
    raise GridError("an isolated controller has the arrays of a grid, not the pandapower net behind it")
