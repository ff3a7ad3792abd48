"""What a decision may not hold: what is no message, a receiver nobody is, numbers that are none, odd shapes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from controllers.logbook import ALARM, LOGBOOK
from sims.core.errors import nearest
from sims.core.message import Message

ORDER = "command/"
"""How the topic of an order begins; its duty follows."""
LARGEST_BYTES = 1 << 30
_SENT = "biufcU"
_PLAIN = (float, int, str, np.integer, np.bool_)


def slips(decided: Sequence[Any], known: Collection[str] | None = None) -> dict[int, str]:
    """Return which of the messages cannot leave, by their place in the decision, and why.

    An order with an infinite value takes a set-point back; anywhere else that is a slip, as nan always is. What goes to
    the logbook does not travel and may have gaps. All are sieved in one go, and looked at one by one only where
    something is caught.

    Parameters
    ----------
    known : collection of str, optional
        Every address there is; if not given, any receiver is one.
    """
    try:
        suspect = _suspect(decided, known)
    except (TypeError, ValueError, AttributeError):  # what cannot even be sieved
        suspect = True
    if not suspect:
        return {}
    found = ((place, slip(message, known)) for place, message in enumerate(decided))
    return {place: text for place, text in found if text}


def _suspect(decided: Sequence[Any], known: Collection[str] | None) -> bool:
    """Tell whether something may be amiss among them."""
    total = 0.0  # a sum with a number in it that is none is none itself
    orders: list[Any] = []
    others: list[Any] = []
    for message in decided:
        if message.__class__ is not Message:
            return True
        receiver, topic = message.receiver, message.topic
        in_order, travels = topic.startswith(ORDER), receiver != LOGBOOK
        if travels and ((known is not None and receiver not in known) or not _framed(message)):
            return True
        if not travels and topic == ALARM and not isinstance(message.values.get("value", 0.0), float):
            return True
        arrays = orders if in_order else others
        shape: Any = None
        for value in message.values.values():
            if isinstance(value, np.ndarray):
                kind = value.dtype.kind
                if kind not in _SENT:
                    return True
                if kind in "fc" and travels:
                    arrays.append(value if value.ndim == 1 else value.ravel())
            elif not isinstance(value, _PLAIN):
                return True
            elif travels and isinstance(value, float):
                total += value
            if in_order:
                own = getattr(value, "shape", ())
                if own != (own if shape is None else shape) or len(own) > 1:
                    return True
                shape = own
    return (
        not math.isfinite(total)
        or (len(orders) > 0 and bool(np.isnan(_joined(orders)).any()))
        or (len(others) > 0 and not np.isfinite(_joined(others)).all())
    )


def _joined(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _framed(message: Message) -> bool:
    """Tell whether size, time to live and priority are such as a network takes."""
    return 0 <= message.size_bytes <= LARGEST_BYTES and message.ttl_ms >= 0 and message.priority >= 0


def slip(message: Any, known: Collection[str] | None = None) -> str:
    """Return why one message cannot leave, empty where it can; see `slips`."""
    if not isinstance(message, Message):
        return f"decide returned {_a(message)} among its messages; return Message objects"
    topic, receiver, values = message.topic, message.receiver, message.values
    if not isinstance(topic, str) or not isinstance(receiver, str) or not receiver:
        return f"sent {topic!r} to {receiver!r}; topic and receiver are texts"
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        return f"sent {topic} with {_a(values)} as values; send numbers, texts or arrays by name"
    travels = receiver != LOGBOOK
    if travels and known is not None and receiver not in known:
        return f"sent {topic} to '{receiver}', where nobody is{nearest(receiver, known)}"
    for name, value in values.items():
        if text := _odd(value, travels, topic.startswith(ORDER)):
            return f"sent {topic} with {name} {text}"
    if not travels:
        number = values.get("value", math.nan)
        wrong = topic == ALARM and (isinstance(number, str) or np.size(number) != 1)
        return f"raised an alarm with {_a(number)} as value; it is one number" if wrong else ""
    try:
        framed = _framed(message)
    except (TypeError, ValueError):
        framed = False
    if not framed:
        limits = f"size_bytes is within 0..{LARGEST_BYTES}, ttl_ms and priority are not negative"
        return f"sent {topic} with size_bytes {message.size_bytes}, ttl_ms {message.ttl_ms}: {limits}"
    return _uneven(topic, values) if topic.startswith(ORDER) else ""


def _odd(value: Any, travels: bool, in_order: bool) -> str:
    """Return what is odd about a value, empty where it may be sent."""
    try:
        array = np.asarray(value)
    except ValueError:
        return "as rows of different lengths; send an array"
    if array.dtype.kind not in _SENT:
        return f"as {_a(value)}; send numbers, texts or arrays of them"
    if not travels or array.dtype.kind not in "fc":
        return ""
    return "not finite" if (np.isnan(array) if in_order else ~np.isfinite(array)).any() else ""


def _uneven(topic: str, values: Mapping[str, Any]) -> str:
    """Return which arrays of an order do not have the shape of its first one."""
    shapes = {name: np.shape(value) for name, value in values.items() if not isinstance(value, str)}
    (first, shape), *others = shapes.items() if shapes else (("", ()),)
    if len(shape) > 1:
        return f"sent {topic} with {first} of shape {shape}; arrays of an order have one dimension"
    for name, other in others:
        if other != shape:
            return f"sent {topic} with {_count(other)} of {name} for {_count(shape, '')} of {first}"
    return ""


def _count(shape: tuple[int, ...], noun: str = " values") -> str:
    return f"{shape[0]}{noun}" if len(shape) == 1 else f"shape {shape}" if shape else "a single one"


def _a(thing: Any) -> str:
    return f"a {type(thing).__name__}"
