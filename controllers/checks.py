"""The contract of a controller as something to run: authors call `check_controller` on theirs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from controllers.assets import ESTIMATE, Assets
from controllers.contract import Controller, Site
from controllers.loading import built, load_class
from controllers.rehearsal import Post, day_at, stand_ins
from controllers.responsibility import FROM_STAGE
from controllers.soundness import ORDER, slip
from sims.core.errors import ControllerError, nearest
from sims.core.message import Message

Wire = tuple[Any, ...]


def check_controller(controller: Any, site: Site | None = None, *, beside: Path | None = None) -> None:
    """Hold a controller against its contract; return nothing where it keeps it.

    It is given an hour of mail on a small feeder (quiet, over-voltage, a fault, nothing at all) and must

    - name its urgent topics, decide without raising, and return messages that can be sent: known receivers,
      finite numbers, commands under its own duties with a time to live and one value per device;
    - decide alike when built twice with the same random stream;
    - bear silence, late, duplicated and reordered mail, and leave its mail unchanged;
    - keep all its state in its attributes, so that a copy of them restored elsewhere decides alike.

    Parameters
    ----------
    controller : type or str
        A class, or a reference to one as in a scenario (``./mine.py:Mine``, ``package.module:Class``).
    site : Site, optional
        Where it sits; by default the first of a control room, an area agent, an interface agent and the TSO
        at which it can be built, holding every duty.
    beside : Path, optional
        Folder that file references start from; the working directory by default.

    Raises
    ------
    ControllerError
        Names the site, the time and what was not kept.
    ScenarioError
        The reference leads nowhere.
    """
    cls = load_class(controller, beside or Path.cwd()) if isinstance(controller, str) else controller
    seat = site if site is not None else _seat_for(cls)
    built(cls, _fresh(seat))
    mail = day_at(seat)
    first = _run(cls, seat, mail, "decides")
    if _run(cls, seat, mail, "decides a second time") != first:
        raise ControllerError(
            seat.name, 0, f"{_name(cls)} decides differently the second time from the same mail; draw random "
            "numbers from site.rng only and let no set's order or clock decide",
        )
    _run(cls, seat, [(t, []) for t, _ in mail], "hears nothing")
    _run(cls, seat, [(t, [m for m in box for _ in (0, 1)]) for t, box in mail], "hears everything twice")
    _run(cls, seat, [(t, box[::-1]) for t, box in mail], "hears mail out of order")
    late = [(t, mail[k - 10][1] if k >= 10 else []) for k, (t, _) in enumerate(mail)]
    _run(cls, seat, late, "hears everything ten minutes late")
    _check_restart(cls, seat, mail)


def _name(cls: Any) -> str:
    return str(getattr(cls, "__name__", cls))


def _seat_for(cls: Any) -> Site:
    failures = []
    for site in stand_ins():
        try:
            cls(_fresh(site))
        except Exception as err:  # noqa: BLE001 - any failure means: not a place for this class
            failures.append(f"at {site.name}: {type(err).__name__}: {err}")
        else:
            return site
    raise ControllerError("check", 0, f"{_name(cls)} cannot be built as {_name(cls)}(site): {'; '.join(failures)}")


def _fresh(site: Site) -> Site:
    """Return the site with a random stream of its own in the same state."""
    return replace(site, rng=copy.deepcopy(site.rng))


def _run(cls: Any, site: Site, mail: Sequence[Post], what: str) -> list[Wire]:
    controller = cls(_fresh(site))
    return _decide(controller, site, mail, what)


def _decide(controller: Controller, site: Site, mail: Sequence[Post], what: str) -> list[Wire]:
    sent: list[Wire] = []
    assets = Assets(site.grid)
    for t_ms, box in mail:
        before = [_wire(m) for m in box]
        try:
            messages = controller.decide(t_ms / 1000, list(box))
        except ControllerError:
            raise
        except Exception as err:
            raise ControllerError(
                site.name, t_ms, f"{_name(type(controller))} fails when it {what}: {type(err).__name__}: {err}"
            ) from err
        if [_wire(m) for m in box] != before:
            raise ControllerError(site.name, t_ms, f"{_name(type(controller))} changes its mail; copy before writing")
        if not isinstance(messages, list):
            raise ControllerError(
                site.name, t_ms, f"decide returned {type(messages).__name__}; return a list of messages, [] for none"
            )
        for message in messages:
            _check_message(message, site, assets, t_ms)
        sent += [(t_ms, *_wire(m)) for m in messages]
    return sent


def _check_message(message: Any, site: Site, assets: Assets, t_ms: int) -> None:
    text = slip(message)
    if not text and message.topic.startswith(ORDER):
        text = _foreign(message, site) or assets.fault(message)
    elif not text and message.topic == ESTIMATE:
        text = assets.fault(message)
    if text:
        raise ControllerError(site.name, t_ms, text)


def _foreign(order: Message, site: Site) -> str:
    """Return what is wrong with the duty of an order, or with its time to live."""
    duty = order.topic.removeprefix(ORDER)
    if duty not in FROM_STAGE:
        return f"commands under '{duty}', which is no duty{nearest(duty, FROM_STAGE)}"
    if duty not in site.duties:
        return f"commands under {duty}, which is not among its duties: {', '.join(sorted(site.duties)) or 'none'}"
    if order.ttl_ms <= 0:
        return f"{order.topic} to {order.receiver} has no time to live; a set-point without one never ends"
    return ""


def _wire(message: Message) -> Wire:
    """Return a message as plain data that compares by value."""
    values = tuple(
        (name, np.asarray(value).dtype.kind, np.shape(value), np.asarray(value).tobytes())
        if not isinstance(value, str) else (name, value)
        for name, value in sorted(message.values.items())
    )
    return message.receiver, message.topic, values, message.ttl_ms


def _check_restart(cls: Any, site: Site, mail: Sequence[Post]) -> None:
    """Stop half-way, carry the attributes to a new instance, and compare the second halves."""
    half = len(mail) // 2
    home = _fresh(site)
    original = cls(home)
    _decide(original, home, mail[:half], "decides")
    kept = _copy_state(vars(original), home)
    rng = copy.deepcopy(home.rng)
    expected = _decide(original, home, mail[half:], "decides")
    elsewhere = replace(home, rng=rng)
    restored = cls(elsewhere)
    vars(restored).update(_copy_state(kept, home, elsewhere))
    if _decide(restored, elsewhere, mail[half:], "decides after a restart") != expected:
        raise ControllerError(
            site.name, mail[half][0],
            f"{_name(cls)} decides differently after its attributes were copied to a new instance; keep all "
            "state in attributes, none in globals, closures or class variables",
        )


def _copy_state(state: dict[str, Any], site: Site, other: Site | None = None) -> dict[str, Any]:
    """Return a deep copy of a controller's attributes; what the site believes is shared, not copied."""
    shared: list[Any] = [site.grid, *site.grid.feeders, *(f.grid for f in site.grid.feeders), site.settings]
    memo: dict[int, Any] = {id(thing): thing for thing in shared}
    memo[id(site)] = other if other is not None else site
    memo[id(site.rng)] = other.rng if other is not None else site.rng
    try:
        return copy.deepcopy(state, memo)
    except Exception as err:
        raise ControllerError(
            site.name, 0, f"its attributes cannot be copied ({type(err).__name__}: {err}); keep open files, "
            "solvers and generators out of them",
        ) from err
