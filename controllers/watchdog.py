"""Stops a controller that does not come back: its decision has a budget of real time."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable

from sims.core.errors import ControllerError

LOOK_S = 0.2
GRACE_S = 0.5
ENDED = 3
"""Exit code of a process that had to be ended."""
_may_end_process = False


class OverdueError(ControllerError):
    """A decision has taken longer than it may: the run stops, whatever its policy is about faults."""


def may_end_process() -> None:
    """Let the watchdogs of this process end it where a controller cannot be interrupted, as in a loop of C."""
    global _may_end_process
    _may_end_process = True
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Watchdog:
    """Looks now and then whether a decision has been under way for longer than it may.

    Whoever decides does so ``with`` it; where several do so one after the other, `next` gives each a budget of its
    own. One that is over it is interrupted by a KeyboardInterrupt in the main thread, which comes before the block is
    left; `over` tells it from the user's. Runs outside the main thread are not watched.

    Parameters
    ----------
    about : callable
        Returns where somebody is deciding, and the budget [s].

    Attributes
    ----------
    fired : bool
        Somebody has been interrupted.
    over : (str, float) or None
        Where that was, and the budget that was over [s].
    """

    def __init__(self, about: Callable[[], tuple[str, float]]) -> None:
        self.fired = False
        self.over: tuple[str, float] | None = None
        self._turn = 0  # odd while somebody decides
        self._firing = threading.Lock()
        self._about = about
        if threading.current_thread() is threading.main_thread():
            threading.Thread(target=_watch, args=(weakref.ref(self),), name="watchdog", daemon=True).start()

    def __enter__(self) -> None:
        self._turn += 1

    def next(self) -> None:
        """Say that another one decides from here on; one before who was over is met here at the latest."""
        self._turn += 2
        if self.fired:
            time.sleep(GRACE_S)  # the interrupt is under way, or has been swallowed
            raise KeyboardInterrupt

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if self.fired and kind is not KeyboardInterrupt:
            time.sleep(GRACE_S)  # the interrupt is under way
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Say that nobody decides any longer; no interrupt is sent from then on."""
        with self._firing:
            self._turn += self._turn % 2

    def _fire(self, turn: int, who: tuple[str, float]) -> bool:
        """Interrupt `who`, who has the turn `turn`; tell whether they still had it."""
        with self._firing:
            if self._turn == turn:
                self.fired, self.over = True, who
                _interrupt()
        return self.fired


def _interrupt() -> None:
    """Raise KeyboardInterrupt in the main thread, which may be asleep in a system call."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _watch(of: weakref.ref[Watchdog]) -> None:
    seen, since_s = 0, time.monotonic()
    while (dog := of()) is not None:
        turn, now_s = dog._turn, time.monotonic()
        if turn != seen:
            seen, since_s = turn, now_s
        elif turn % 2 and not dog.fired:
            who = dog._about()
            if now_s - since_s >= who[1] and dog._fire(turn, who):
                since_s = now_s
        elif turn % 2 and _may_end_process and now_s - since_s >= GRACE_S:
            name, budget_s = dog._about()
            said = f"controller at {name} has not decided within {budget_s:g} s and could not be interrupted\n"
            sys.stderr.write(said)
            sys.stderr.flush()
            os._exit(ENDED)
        del dog
        time.sleep(LOOK_S)
