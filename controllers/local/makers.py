"""From rules as data to the laws inside devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from controllers.local.cap import FeedInCap
from controllers.local.cosphi import CosPhi
from controllers.local.fcr import Containment, FcrSettings
from controllers.local.freq_droop import FrequencyDroop
from controllers.local.pf import PfSettings, PowerFrequency, StorageFrequency
from controllers.local.pu import PowerVoltage
from controllers.local.qu import ReactiveVoltage
from controllers.local.ruleform import FORMS, Form
from controllers.local.rules import Rules
from controllers.local.trips import Trips, TripSettings
from controllers.local.watt_var import WattVar

Make = Callable[[int], Any]


def makers(rules: Rules, f0_hz: float | None = None) -> dict[str, Make]:
    """Return law -> factory by number of devices; frequencies moved to `f0_hz` if the grid has another one."""
    shift = 0.0 if f0_hz is None else f0_hz - rules.f0_hz
    return {law: _maker(law, numbers, rules.f0_hz, shift) for law, numbers in rules.laws.items()}


def _maker(law: str, given: Mapping[str, Any], f0_hz: float, shift: float) -> Make:
    """Return the factory of one law; pairs become tuples, response times lags, frequencies move by `shift`."""
    form: Form = FORMS[given["form"]]
    numbers: dict[str, Any] = {}
    for key, value in given.items():
        if key in form.frequencies:
            value = _moved(value, shift, pairs=key in form.stages)
        if key == "response_s" and "tau_s" in form.keys:
            numbers["tau_s"] = value / math.log(10.0)
        elif key != "form":
            numbers[key] = _tuples(value)
    if form.rated_frequency:
        numbers["f0_hz"] = f0_hz + shift
    if given["form"] == "droop":
        numbers["trip_hz"] = tuple(t + f0_hz + shift - 60.0 for t in (56.5, 62.0))
    return {
        "cap": lambda n: FeedInCap(**numbers),
        "cosphi": lambda n: CosPhi(**numbers),
        "watt_var": lambda n: WattVar(n, name=law, **numbers),
        "volt_var": lambda n: ReactiveVoltage(n, name=law, **numbers),
        "volt_watt": lambda n: PowerVoltage(n, name=law, **numbers),
        "frozen_droop": lambda n: PowerFrequency(n, PfSettings(**numbers), law),
        "droop": lambda n: FrequencyDroop(n, name=law, **numbers),
        "storage_droop": lambda n: StorageFrequency(n, name=law, **numbers),
        "containment": lambda n: Containment(n, FcrSettings(**numbers), law),
        "trips": lambda n: Trips(n, TripSettings(**numbers), law),
    }[given["form"]]


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    return float(value) if type(value) is int else value  # passes are compiled for numbers of one type


def _moved(value: Any, shift: float, *, pairs: bool) -> Any:
    """Return frequencies plus `shift`; of pairs of frequency and time only the frequency moves."""
    if pairs:
        return [[level + shift, time] for level, time in value]
    return [v + shift for v in value] if isinstance(value, list) else value + shift
