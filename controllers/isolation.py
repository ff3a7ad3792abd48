"""Lets controllers decide in a process of their own, which may crash or hang without taking the run along."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from controllers.contract import Site
from controllers.watchdog import OverdueError
from sims.core.errors import ControllerError, GridseamError
from sims.core.leash import SERIAL, how_it_ended, leashed
from sims.core.message import Message

START_S = 120.0
"""How long the process may take to start and build its controllers, or to tell or take up a state."""
GRACE_S = 1.0
"""How long it may take to end when it is no longer needed."""
NET = "net"
"""What stands for the pandapower net behind a grid, which stays with the run."""
ROOT = Path(__file__).resolve().parent.parent


class Isolated:
    """Stands for the controller that sits at one site in another process.

    `urgent` and `reads` are the controller's as it was built, `due_s` what it was after the last decision.
    """

    def __init__(self, isolation: Isolation, number: int, urgent: frozenset[str], reads: Any) -> None:
        self.urgent, self.reads = urgent, reads
        self.due_s: Any = None
        self._isolation, self._number = isolation, number

    def decide(self, now_s: float, inbox: Sequence[Message]) -> Any:
        """Return what the controller sends.

        Raises
        ------
        ControllerError
            It has raised, or its process has ended; `OverdueError` where it has not decided within its budget.
        """
        sent, self.due_s = self._isolation.ask(self._number, round(now_s * 1000), "decide", now_s, list(inbox))
        return sent

    def get_state(self) -> bytes:
        """Return what it remembers."""
        state: bytes = self._isolation.ask(self._number, 0, "get_state")
        return state

    def set_state(self, state: bytes) -> None:
        """Let it continue from `get_state`."""
        self._isolation.ask(self._number, 0, "set_state", state)

    def release(self) -> None:
        """End the process, if no other has yet."""
        self._isolation.end()


class Isolation:
    """A process in which all controllers of one reference sit, each at a site of its own.

    It is a fresh interpreter that imports nothing of the caller's and ends with this object. If it dies, it is followed
    by another with fresh controllers when one of them is asked again.

    Parameters
    ----------
    reference : str
        See `controllers.loading.load_class`.
    beside : Path
        Folder that file references start from.
    sites : sequence of Site
        Pickled once, with their random streams.
    budget_s : float
        How long one decision may take, in real time.

    Raises
    ------
    GridseamError
        The class cannot be loaded, or not be built at a site: there is nobody to fall back to yet.
    """

    def __init__(self, reference: str, beside: Path, sites: Sequence[Site], budget_s: float) -> None:
        self._names, self._budget_s = [site.name for site in sites], budget_s
        self._first = _pickled((reference, str(beside), sites), sites)
        self._child: _Child | None = None
        self._traits = self._start(self._names[0], 0)

    def controllers(self) -> list[Isolated]:
        """Return who stands for the controllers, in the order of the sites."""
        return [Isolated(self, number, *traits) for number, traits in enumerate(self._traits)]

    def ask(self, number: int, now_ms: int, what: str, *about: Any) -> Any:
        """Return the answer of the controller at site `number`; errors are told as of `now_ms` [ms]."""
        name, limit_s = self._names[number], self._budget_s if what == "decide" else START_S
        if self._child is None:
            self._start(name, now_ms)
        return self._answer(pickle.dumps((what, number, *about), 5), name, now_ms, limit_s)

    def end(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end(GRACE_S)
        self._child = None

    def _start(self, name: str, now_ms: int) -> Any:
        """Start the process; return what its controllers want to hear, site by site."""
        self._child = _Child()
        try:
            return self._answer(self._first, name, now_ms, START_S)
        except GridseamError:
            self.end()  # there is nobody to ask in it
            raise

    def _answer(self, request: bytes, name: str, now_ms: int, limit_s: float) -> Any:
        assert self._child is not None
        child, answer = self._child, None
        try:
            answer = child.ask(request, limit_s)
        except TimeoutError:
            what = "decided" if request is not self._first else "been built"
            raise OverdueError(name, now_ms, f"has not {what} within {limit_s:g} s") from None
        except (EOFError, OSError):
            code = child.end(GRACE_S)
            others = f", and with it the controllers at {len(self._names) - 1} other sites" if self._names[1:] else ""
            raise ControllerError(name, now_ms, f"its process has ended ({how_it_ended(code)}){others}") from None
        finally:
            if answer is None:  # nobody knows what it does now
                child.end(0.0)
                self._child = None
        try:
            done, said = pickle.loads(answer)
        except Exception as err:
            raise ControllerError(name, now_ms, f"sent what cannot be read: {type(err).__name__}: {err}") from err
        if done:
            return said
        raise said if isinstance(said, GridseamError) else ControllerError(name, now_ms, said)


class _Child:
    """The process and its pipe; it is killed when nobody holds it any longer."""

    def __init__(self) -> None:
        self._pipe: Connection[Any, Any]
        self._pipe, theirs = Pipe()
        path = [str(ROOT), *(p for p in sys.path if p != str(ROOT))]
        start = f"import sys; sys.path[:] = {path!r}; from controllers.isolated import serve; serve({theirs.fileno()})"
        with theirs:
            self._popen = subprocess.Popen(
                leashed([sys.executable, "-c", start]), pass_fds=[theirs.fileno()], env=os.environ | SERIAL,
                stdin=subprocess.DEVNULL, process_group=0,
            )
        self._end = weakref.finalize(self, _killed, self._popen, self._pipe)

    def ask(self, request: bytes, limit_s: float) -> bytes:
        """Return the answer; TimeoutError where there is none in time, EOFError or OSError where it is gone."""
        self._pipe.send_bytes(request)
        if not self._pipe.poll(limit_s):
            raise TimeoutError
        return self._pipe.recv_bytes()

    def end(self, patience_s: float) -> int:
        """Let the process end within `patience_s`, then kill it; return its exit code."""
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(patience_s)
        self._end()
        return self._popen.wait()


def _killed(popen: subprocess.Popen[bytes], pipe: Connection[Any, Any]) -> None:
    pipe.close()
    popen.kill()
    popen.wait()


def _pickled(thing: Any, sites: Sequence[Site]) -> bytes:
    """Return `thing` as bytes; the pandapower nets behind the grids that `sites` believe in stay here."""
    nets = {id(feeder.grid.origin) for site in sites for feeder in site.grid.feeders}

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> str | None:
            return NET if id(obj) in nets else None

    out = io.BytesIO()
    Pickler(out, protocol=5).dump(thing)
    return out.getvalue()
