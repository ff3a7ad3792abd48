"""Set-points that devices hold until they are replaced or expire, and the orders that set them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.der.fleet import DeviceTable

QUANTITIES = ("p_max_mw", "p_set_mw", "q_set_mvar", "droop_mw_per_hz", "inertia_mw_s_per_hz")
_NEVER_NEGATIVE = ("p_max_mw", "droop_mw_per_hz", "inertia_mw_s_per_hz")
_FOREVER = np.iinfo(np.int64).max
_INFLEXIBLE = ("load",)


_ROW = {name: row for row, name in enumerate(QUANTITIES)}
_POSITIVE = np.isin(QUANTITIES, _NEVER_NEGATIVE)


class Plain(NamedTuple):
    """An order of one quantity to devices: its mail, the row of the quantity, a value for each device."""

    mail: Message
    row: int
    device: NDArray[np.int64]
    value: NDArray[np.float64]


class SetPoints:
    """One value and one expiry by quantity and device; nan is "none", the local law holds.

    Parameters
    ----------
    table : DeviceTable
    authorize : callable
        Asked again on arrival, per feeder addressed, so that a tampered order meets the same table.

    Attributes
    ----------
    busy : dict of str to bool
        Whether any device holds a set-point of a quantity, as of the last `at`.
    lapsed : tuple of (str, str, str, int)
        Feeder, quantity, sender and number of devices whose order ran out by the last `at`, where the sender has none
        of that quantity left in the feeder: from there on the devices' own laws hold.
    """

    def __init__(self, table: DeviceTable, authorize: Authorize) -> None:
        self._table = table
        self._authorize = authorize
        self._steerable = table.remote & ~np.isin(table.kind, _INFLEXIBLE)
        self.values = np.full((len(QUANTITIES), len(table)), np.nan)
        self.expires_ms = np.full((len(QUANTITIES), len(table)), _FOREVER, dtype=np.int64)
        self._sender = np.zeros((len(QUANTITIES), len(table)), dtype=np.int64)
        self._number: dict[str, int] = {}
        self.busy = dict.fromkeys(QUANTITIES, False)
        self.lapsed: tuple[tuple[str, str, str, int], ...] = ()
        self._next_ms = 0

    def at(self, now_ms: int) -> dict[str, NDArray[np.float64]]:
        """Return the value in force at `now_ms` by quantity, nan where there is none or it has expired."""
        self.lapsed = ()
        if now_ms >= self._next_ms:
            stale = self.expires_ms <= now_ms
            if stale.any():
                stale &= ~np.isnan(self.values)  # what was taken back before has not run out
                self.values[stale] = np.nan
                self.expires_ms[np.isnan(self.values)] = _FOREVER
                self.lapsed = self._left_alone(stale)
            self._next_ms = int(self.expires_ms.min(initial=_FOREVER))
            self.busy = {
                name: not bool(np.isnan(row).all()) for name, row in zip(QUANTITIES, self.values, strict=True)
            }
        return dict(zip(QUANTITIES, self.values, strict=True))

    def _left_alone(self, stale: NDArray[np.bool_]) -> tuple[tuple[str, str, str, int], ...]:
        """Return `lapsed` once the orders `stale` [quantity, device] are gone."""
        feeders, senders = self._table.feeder_names, list(self._number)
        place = self._table.feeder * len(senders) + self._sender
        found = []
        for row in np.flatnonzero(stale.any(axis=1)).tolist():
            held = place[row, ~np.isnan(self.values[row])]
            gone, count = np.unique(place[row, stale[row]], return_counts=True)
            alone = ~np.isin(gone, held)
            for one, devices in zip(gone[alone].tolist(), count[alone].tolist(), strict=True):
                feeder, sender = divmod(one, len(senders))
                found.append((feeders[feeder], QUANTITIES[row], senders[sender], devices))
        return tuple(found)

    def obey(self, mails: Sequence[Message], now_ms: int) -> list[Action]:
        """Carry out or refuse orders one after the other; return their trace, an entry a feeder and quantity.

        An infinite value takes a set-point back. Nothing of an order that cannot be read is carried out;
        of an order to several feeders, those parts are carried out that are the sender's to give.
        """
        actions: list[Action] = []
        plain: list[Plain] = []
        for mail in mails:
            if (order := _plain(mail)) is not None:
                plain.append(order)
                continue
            actions += self._together(plain, now_ms)
            actions += self._obey(mail, now_ms)
            plain = []
        return actions + self._together(plain, now_ms)

    def _together(self, orders: list[Plain], now_ms: int) -> list[Action]:
        """Carry out orders of one quantity each, as `_plain` lets them pass, all at once where they are sound."""
        if not orders:
            return []
        size = np.array([len(order.device) for order in orders])
        start = np.cumsum(size) - size
        device = np.concatenate([order.device for order in orders])
        value = np.concatenate([order.value for order in orders])
        row = np.repeat([order.row for order in orders], size)
        there = (device >= 0) & (device < len(self._table))
        able = there & self._steerable[np.where(there, device, 0)]
        sound = able & ~np.isnan(value) & ((value >= 0) | ~_POSITIVE[row])
        feeder = self._table.feeder[np.where(there, device, 0)]
        sound &= feeder == np.repeat(feeder[start], size)
        if not sound.all():
            return self._apart(orders, np.logical_and.reduceat(sound, start), now_ms)
        total = _sums(value, size, start)
        home = feeder[start].tolist()
        names, count = self._table.feeder_names, size.tolist()
        actions, allowed, until = [], np.ones(len(orders), dtype=bool), np.empty(len(orders), dtype=np.int64)
        number = [self._number.setdefault(mail.sender, len(self._number)) for mail, *_ in orders]
        for k, (mail, kind, _, _) in enumerate(orders):
            duty, asset = mail.topic.removeprefix("command/"), names[home[k]]
            until[k] = expires = mail.sent_ms + mail.ttl_ms if mail.ttl_ms > 0 else _FOREVER
            if expires <= now_ms:
                rule = _late(mail, now_ms)
                actions.append(Action(now_ms, mail.sender, duty, mail.receiver, QUANTITIES[kind], 0.0, 0, rule))
                allowed[k] = False
                continue
            rule = self._authorize(mail.sender, duty, asset, now_ms) or ""
            allowed[k] = not rule
            actions.append(Action(now_ms, mail.sender, duty, asset, QUANTITIES[kind], total[k], count[k], rule))
        let = np.repeat(allowed, size)
        told = np.where(np.isfinite(value), value, np.nan)
        self.values[row[let], device[let]] = told[let]  # of several orders to one device the last stands
        self.expires_ms[row[let], device[let]] = np.repeat(until, size)[let]
        self._sender[row[let], device[let]] = np.repeat(number, size)[let]
        self._next_ms = 0
        return actions

    def _apart(self, orders: list[Plain], sound: NDArray[np.bool_], now_ms: int) -> list[Action]:
        """Carry out `orders` in their order, those that are not `sound` one by one."""
        actions: list[Action] = []
        run: list[Plain] = []
        for order, good in zip(orders, sound.tolist(), strict=True):
            if good:
                run.append(order)
                continue
            actions += self._together(run, now_ms)
            actions += self._obey(order.mail, now_ms)
            run = []
        return actions + self._together(run, now_ms)

    def _obey(self, mail: Message, now_ms: int) -> list[Action]:
        """Carry out or refuse one order of any form."""
        duty = mail.topic.removeprefix("command/")
        device, orders, fault = self._read(mail, now_ms)
        if fault or device is None:
            first = next(iter(orders), "unknown")
            return [Action(now_ms, mail.sender, duty, mail.receiver, first, 0.0, 0, fault)]
        expires = mail.sent_ms + mail.ttl_ms if mail.ttl_ms > 0 else _FOREVER
        feeder = self._table.feeder[device]
        home = int(feeder[0])
        numbers = [home] if len(feeder) == 1 or bool((feeder == home).all()) else np.unique(feeder).tolist()
        actions = []
        for number in numbers:
            asset = self._table.feeder_names[number]
            here: Any = slice(None) if len(numbers) == 1 else feeder == number
            target = device[here]
            rule = self._authorize(mail.sender, duty, asset, now_ms) or ""
            able = self._steerable[target]
            if not rule and not able.all():
                bad = target[np.argmin(able)]
                rule = f"{self._table.name[bad]} ({self._table.kind[bad]}) is not remotely controllable"
            for quantity, value in orders.items():
                told = value[here]
                finite = np.isfinite(told)
                total = float(told.sum() if finite.all() else told[finite].sum())
                actions.append(Action(now_ms, mail.sender, duty, asset, quantity, total, len(target), rule))
                if not rule:
                    row = QUANTITIES.index(quantity)
                    self.values[row, target] = np.where(finite, told, np.nan)
                    self.expires_ms[row, target] = expires
                    self._sender[row, target] = self._number.setdefault(mail.sender, len(self._number))
                    self._next_ms = 0
        return actions

    def _read(
        self, mail: Message, now_ms: int
    ) -> tuple[NDArray[np.int64] | None, dict[str, NDArray[np.float64]], str]:
        """Return devices, values by quantity, and what is wrong with the order (empty if nothing)."""
        if not mail.topic.startswith("command/"):
            return None, {}, f"topic '{mail.topic}' is not command/<duty>"
        unknown = [key for key in mail.values if key != "device" and key not in QUANTITIES]
        if unknown:
            close = difflib.get_close_matches(unknown[0], QUANTITIES, n=1)
            return None, {}, f"unknown quantity '{unknown[0]}'" + (f", did you mean {close[0]}?" if close else "")
        raw = np.atleast_1d(np.asarray(mail.values.get("device", ())))
        if raw.size == 0 or len(mail.values) < 2:
            return None, {}, "names no device or no quantity"
        try:
            orders = {
                key: _as_many(np.asarray(value, dtype=np.float64), raw)
                for key, value in mail.values.items() if key != "device"
            }
        except (TypeError, ValueError):
            return None, {}, f"values do not match the {raw.size} devices addressed"
        if raw.dtype.kind not in "iu" or raw.min() < 0 or raw.max() >= len(self._table):
            return None, orders, f"addresses devices outside 0..{len(self._table) - 1}"
        if any(np.isnan(value).any() for value in orders.values()):
            return None, orders, "a value is not a number"
        for key in _NEVER_NEGATIVE:
            if key in orders and (orders[key] < 0).any():
                return None, orders, f"{key} is negative"
        if mail.ttl_ms > 0 and mail.sent_ms + mail.ttl_ms <= now_ms:
            return None, orders, _late(mail, now_ms)
        return raw.astype(np.int64), orders, ""

    def get_state(self) -> dict[str, Any]:
        """Return values and expiries, and whose they are."""
        return {
            "values": self.values.copy(), "expires_ms": self.expires_ms.copy(), "sender": self._sender.copy(),
            "number": dict(self._number),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.values[...] = state["values"]
        self.expires_ms[...] = state["expires_ms"]
        self._sender[...] = state["sender"]
        self._number = dict(state["number"])
        self._next_ms = 0


def _plain(mail: Message) -> Plain | None:
    """Return an order that is as most are: whole numbers of devices, one quantity, a number for each; else None."""
    if len(mail.values) != 2 or not mail.topic.startswith("command/"):
        return None
    (first, device), (quantity, value) = mail.values.items()
    if quantity == "device":
        first, device, quantity, value = quantity, value, first, device
    row = _ROW.get(quantity)
    if row is None or first != "device" or type(device) is not np.ndarray or type(value) is not np.ndarray:
        return None
    if device.ndim != 1 or device.dtype != np.int64 or value.dtype != np.float64:
        return None
    return Plain(mail, row, device, value) if device.shape == value.shape != (0,) else None


def _sums(value: NDArray[np.float64], size: NDArray[np.int64], start: NDArray[np.int64]) -> list[float]:
    """Return what each order asks for in all; values that take a set-point back do not count.

    Each sum goes from 0 on, as `sum` of one order adds up: the trace is the same to the last bit.
    """
    finite = np.isfinite(value)
    if not finite.all():
        size = np.add.reduceat(finite.astype(np.int64), start)
        value, start = value[finite], np.cumsum(size) - size
    total: list[float] = np.add.reduceat(np.insert(value, start, 0.0), start + np.arange(len(start))).tolist()
    return total


def _late(mail: Message, now_ms: int) -> str:
    return f"expired {(now_ms - mail.sent_ms - mail.ttl_ms) / 1000:g} s before it arrived"


def _as_many(value: NDArray[np.float64], device: NDArray[Any]) -> NDArray[np.float64]:
    """Return one value a device."""
    return value if value.shape == device.shape else np.broadcast_to(value, device.shape)
