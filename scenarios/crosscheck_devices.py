"""Whether weather, own series, listed devices and connection rules of a scenario fit together and exist."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from controllers.local import rules
from scenarios import shipped
from scenarios.schema_devices import LoadSeries
from sims.core.errors import ScenarioError, nearest

if TYPE_CHECKING:
    from scenarios.schema import Scenario

Fault = tuple[tuple[str | int, ...], str]


def device_faults(s: Scenario, series: frozenset[str]) -> Iterator[Fault]:
    """Yield everything at fault; `series` are the names of the profile file, if it can be read."""
    yield from _weather(s)
    for name in s.series:
        if name in series:
            yield ("series", name), f"'{name}' is already a series of the profiles '{s.profiles}'"
    own = series | set(s.series)
    der = s.der
    for kind, wanted, names in (
        ("heatpump", der.heatpump.mw_per_mw_load, der.heatpump.profiles),
        ("flexible", der.flexible.mw_per_mw_load, der.flexible.profiles),
        ("chp", der.chp.mw_per_mw_load, der.chp.profiles),
    ):
        for index, name in enumerate(names if wanted and series else ()):
            if name not in own:
                near = nearest(name, sorted(own))
                yield ("der", kind, "profiles", index), f"'{name}' is not a series of '{s.profiles}'{near}"
    if der.storage.soc_min >= der.storage.soc_max:
        given = "soc_min" if "soc_min" in der.storage.model_fields_set else "soc_max"
        window = f"soc_min {der.storage.soc_min:g} is not below soc_max {der.storage.soc_max:g}"
        yield ("der", "storage", given), window
    yield from _listed(s, own if series else frozenset())
    try:
        rules.read(der.rules, s.folder)
    except ScenarioError as err:
        for problem in err.problems:
            yield ("der", "rules"), str(problem) if ":" in problem.where else problem.text
    if der.ev.sessions is not None and not (s.folder / der.ev.sessions).is_file():
        yield ("der", "ev", "sessions"), f"there is no file '{der.ev.sessions}' beside the scenario"


def _weather(s: Scenario) -> Iterator[Fault]:
    needs = [name for name, own in s.series.items() if not isinstance(own, LoadSeries)]
    if s.weather is None:
        for name in needs:
            yield ("series", name), "is made from weather, but the scenario has no 'weather'"
        return
    path = s.folder / s.weather.file
    if not path.is_file():
        yield ("weather", "file"), f"there is no file '{s.weather.file}' beside the scenario"
        return
    try:
        outline = shipped.profile_outline(path)
    except ValueError as err:
        yield ("weather", "file"), str(err)
        return
    if outline.first is not None and outline.end is not None:
        end = s.time.start + dt.timedelta(milliseconds=s.time.duration_ms)
        if s.time.start < outline.first or end > outline.end:
            yield (
                ("weather", "file"),
                f"'{s.weather.file}' lasts from {outline.first.isoformat()} to {outline.end.isoformat()}, the run from "
                f"{s.time.start.isoformat()} to {end.isoformat()}",
            )


def _listed(s: Scenario, series: frozenset[str]) -> Iterator[Fault]:
    feeders = [f.name for f in s.feeders()]
    seen: set[str] = set()
    for index, device in enumerate(s.devices):
        if device.name in seen:
            yield ("devices", index, "name"), f"'{device.name}' is the name of two devices"
        seen.add(device.name)
        if device.feeder not in feeders:
            yield ("devices", index, "feeder"), f"'{device.feeder}' is not a feeder{nearest(device.feeder, feeders)}"
        if device.profile and series and device.profile not in series:
            near = nearest(device.profile, sorted(series))
            yield ("devices", index, "profile"), f"'{device.profile}' is not a series of '{s.profiles}'{near}"
        if device.energy_mwh_a is not None and not isinstance(s.series.get(device.profile), LoadSeries):
            yield ("devices", index, "energy_mwh_a"), f"'{device.profile}' is no standard_load: give p_mw"
