"""What no single field can know: whether the parts of a scenario fit together and what it names exists."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios import foreign, formats, shipped, trust
from scenarios.crosscheck_devices import device_faults
from scenarios.crosscheck_network import network_faults, wiring_faults
from scenarios.crosscheck_upsets import upset_faults
from scenarios.durations import format_duration
from scenarios.inside import escapes
from scenarios.reference import fault as reference_fault
from scenarios.reference import function_fault
from scenarios.schema_company import TAKEN
from scenarios.schema_disturbances import LineFault, Upset
from scenarios.schema_operation import Record
from sims.core.errors import nearest

if TYPE_CHECKING:
    from scenarios.schema import Feeder, Scenario

Fault = tuple[tuple[str | int, ...], str]
"""Path of the field at fault, what is wrong with it."""


def faults(scenario: Scenario) -> list[Fault]:
    """Return everything that does not fit together, in the order of the file; first what it may not read."""
    outside = escapes(scenario)
    if outside:
        return outside
    found = [
        *_time(scenario),
        *_matrix(scenario),
        *_profiles(scenario),
        *device_faults(scenario, _series(scenario)),
        *_transmission(scenario),
        *_dsos(scenario),
        *network_faults(scenario),
        *_disturbances(scenario),
        *_handover(scenario),
        *_controllers(scenario),
        *_company(scenario),
        *_record(scenario),
        *_expect(scenario),
    ]
    if found:
        return found
    outline = _outline(scenario)
    machines = () if isinstance(outline, str) else outline.generators
    return list(wiring_faults(scenario, machines))


def _one_of(name: object, valid: tuple[str, ...]) -> str:
    shown = " | ".join(valid) if len(valid) <= 20 else f"the {len(valid)} there are"
    return f"'{name}' is not one of {shown}{nearest(str(name), valid)}"


def _repeated(values: list[object]) -> Iterator[int]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield index


def _time(s: Scenario) -> Iterator[Fault]:
    step, slot = s.time.step_ms, s.transmission.schedule.step_ms
    if s.time.duration_ms % step:
        whole = format_duration(s.time.duration_ms)
        yield ("time", "step"), f"{format_duration(step)} does not divide the duration of the run, {whole}"
    if slot % step:
        text = f"{format_duration(slot)} is not a multiple of the grid step, {format_duration(step)}"
        yield ("transmission", "schedule", "step"), text


def _matrix(s: Scenario) -> Iterator[Fault]:
    for key in ("architecture", "stage"):
        values = list(getattr(s.matrix, key))
        for index in _repeated(values):
            yield ("matrix", key, index), f"'{values[index]}' stands here twice"


def _profiles(s: Scenario) -> Iterator[Fault]:
    path = shipped.profile_path(s.profiles, s.folder)
    if not path.is_file():
        if s.profiles.startswith(("./", "../", "/")):
            yield ("profiles",), f"there is no file '{s.profiles}' beside the scenario"
        else:
            yield ("profiles",), _one_of(s.profiles, (*shipped.profile_names(), "./file.csv"))
        return
    try:
        outline = shipped.profile_outline(path)
    except ValueError as err:
        yield ("profiles",), str(err)
        return
    if outline.first is not None and outline.end is not None:
        end = s.time.start + dt.timedelta(milliseconds=s.time.duration_ms)
        if s.time.start < outline.first or end > outline.end:
            yield (
                ("time", "start"),
                f"the run lasts from {s.time.start.isoformat()} to {end.isoformat()}, the profiles "
                f"'{s.profiles}' from {outline.first.isoformat()} to {outline.end.isoformat()}",
            )
    named: list[tuple[tuple[str | int, ...], tuple[str, ...]]] = [
        (("transmission", "static_load", "p_profile"), s.transmission.static_load.p_profile),
        (("der", "load", "profiles"), s.der.load.profiles),
        (("der", "pv", "profiles"), s.der.pv.profiles),
        (("der", "wind", "profiles"), s.der.wind.profiles),
    ]
    for place, names in named:
        for index, name in enumerate(names):
            if name not in outline.series and name not in s.series:
                near = nearest(name, sorted((*outline.series, *s.series)))
                yield (*place, index), f"'{name}' is not a series of the profiles '{s.profiles}'{near}"


def _series(s: Scenario) -> frozenset[str]:
    """Return the names in the profile file, none if it cannot be read; what is wrong then is told elsewhere."""
    try:
        return shipped.profile_outline(shipped.profile_path(s.profiles, s.folder)).series
    except ValueError:
        return frozenset()


def _outline(s: Scenario) -> shipped.TransmissionOutline | str:
    grid = s.transmission.grid
    path = shipped.transmission_path(grid, s.folder)
    if not path.is_file():
        if grid.startswith(("./", "../", "/")):
            return f"there is no file '{grid}' beside the scenario"
        return _one_of(grid, (*shipped.transmission_names(), "./file.json"))
    try:
        return shipped.transmission_outline(path)
    except ValueError as err:
        return str(err)


def _transmission(s: Scenario) -> Iterator[Fault]:
    outline = _outline(s)
    if isinstance(outline, str):
        yield ("transmission", "grid"), outline
        return
    cells = sorted(set(outline.cell_of_bus.values()))
    known = " | ".join(map(str, cells))
    for index, reserve in enumerate(s.transmission.reserves):
        if reserve.cell not in cells:
            yield ("transmission", "reserves", index, "cell"), f"{reserve.cell} is not one of the cells {known}"
    for index in _repeated([r.cell for r in s.transmission.reserves]):
        yield ("transmission", "reserves", index, "cell"), "this cell's reserves stand here twice"
    for d, dso in enumerate(s.dsos):
        if dso.cell not in cells:
            yield ("dsos", d, "cell"), f"{dso.cell} is not one of the cells {known} of {s.transmission.grid}"
        for i, interface in enumerate(dso.interfaces):
            place = ("dsos", d, "interfaces", i, "bus")
            cell = outline.cell_of_bus.get(interface.bus)
            if cell is None:
                buses = sorted(outline.cell_of_bus)
                yield place, f"{interface.bus} is not a bus of {s.transmission.grid} ({buses[0]}..{buses[-1]})"
            elif cell != dso.cell and dso.cell in cells:
                yield place, f"bus {interface.bus} lies in cell {cell}, {dso.name} in cell {dso.cell}"


def _dsos(s: Scenario) -> Iterator[Fault]:
    for index in _repeated([dso.name for dso in s.dsos]):
        yield ("dsos", index, "name"), f"'{s.dsos[index].name}' is the name of two DSOs"
    for index, dso in enumerate(s.dsos):
        if dso.name in ("tso", "device"):
            yield ("dsos", index, "name"), f"'{dso.name}' is taken by gridseam itself; choose another name"
    used: dict[int, str] = {}
    for d, dso in enumerate(s.dsos):
        for i, interface in enumerate(dso.interfaces):
            if interface.bus in used:
                yield (
                    ("dsos", d, "interfaces", i, "bus"),
                    f"bus {interface.bus} already has an interface, of {used[interface.bus]}; list its grids there",
                )
            used[interface.bus] = dso.name
            for g, entry in enumerate(interface.grids):
                place, path = ("dsos", d, "interfaces", i, "grids", g, "grid"), s.folder / entry.grid
                if formats.is_file(entry.grid):
                    text = f"there is no file '{entry.grid}' beside the scenario"
                    if path.is_file():
                        text = foreign.fault(path) if formats.suffix_of(entry.grid) == ".json" else ""
                    yield from [(place, text)] if text else []


def _disturbances(s: Scenario) -> Iterator[Fault]:
    feeders = s.feeders()
    outline = _outline(s)
    for index, event in enumerate(s.disturbances):
        at_ms = s.at_ms(event)
        if not 0 <= at_ms < s.time.duration_ms:
            yield ("disturbances", index, "at"), _outside(s, index, at_ms)
        if isinstance(event, LineFault):
            names = tuple(f.name for f in feeders)
            if event.feeder not in names:
                yield ("disturbances", index, "feeder"), _no_feeder(event.feeder, feeders)
        elif isinstance(event, Upset) and isinstance(outline, shipped.TransmissionOutline):
            for key, text in upset_faults(event, outline, s.transmission.frequency.model):
                yield ("disturbances", index, key), text


def _outside(s: Scenario, index: int, at_ms: int) -> str:
    at = s.disturbances[index].at
    end = s.time.start + dt.timedelta(milliseconds=s.time.duration_ms)
    span = f"the run lasts from {s.time.start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
    day = at.clock_ms // 86_400_000
    later_ms = at_ms + 86_400_000
    if at_ms < 0 and not at.relative and 0 <= later_ms < s.time.duration_ms:
        clock = at.text.split()[-1]
        return f"'{at}' is before the start; {span} (did you mean {day + 1}d {clock}?)"
    return f"'{at}' is not inside the run; {span}"


def _no_feeder(name: str, feeders: tuple[Feeder, ...]) -> str:
    names = [f.name for f in feeders]
    dso = name.split(".", 1)[0]
    own = [n for n in names if n.startswith(f"{dso}.")]
    if own:
        return f"'{name}' is not a feeder; {dso} has {own[0]} to {own[-1]}"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"'{name}' is not a feeder: feeders are called <dso>.f<number>, such as {names[0]}{hint}"


def _handover(s: Scenario) -> Iterator[Fault]:
    for index, transfer in enumerate(s.handover):
        if not 0 < s.at_ms(transfer) < s.time.duration_ms:
            yield ("handover", index, "at"), f"'{transfer.at}' is not inside the run"
    for index in _repeated([(t.duty, s.at_ms(t)) for t in s.handover]):
        yield ("handover", index), f"{s.handover[index].duty} changes hands twice at {s.handover[index].at}"
    if s.handover:
        text = "with local control duties lie in the settings of devices, which do not change hands within a run"
        for index, architecture in enumerate(s.matrix.architecture):
            if architecture == "local":
                yield ("matrix", "architecture", index), f"{text}; leave local out"
        if s.pairing.architecture == "local":
            yield ("pairing", "architecture"), text


def _controllers(s: Scenario) -> Iterator[Fault]:
    taken: dict[tuple[str, str, str], int] = {}
    only = {"dms": "centralized", "agent": "distributed"}
    for index, own in enumerate(s.controllers):
        text = trust.fault(own.use) or reference_fault(own.use, s.folder)
        if text:
            yield ("controllers", index, "use"), text
        if own.architecture and own.at in only and own.architecture != only[own.at]:
            yield (
                ("controllers", index, "architecture"),
                f"no {own.at} decides in {own.architecture}; a {own.at} decides in {only[own.at]} only",
            )
        for architecture in [own.architecture] if own.architecture else s.matrix.architecture:
            for duty in own.duties:
                before = taken.setdefault((own.at, architecture, duty), index)
                if before != index:
                    yield (
                        ("controllers", index, "duties"),
                        f"{duty} at {own.at} in {architecture} is already taken by {s.controllers[before].use}",
                    )


def _company(s: Scenario) -> Iterator[Fault]:
    for index in range(len(s.company)):
        text = trust.start_fault()
        yield from [(("company", index, "start"), text)] if text else []
    for index in _repeated([other.name for other in s.company]):
        yield ("company", index, "name"), f"'{s.company[index].name}' is the name of two simulators"
    taken = TAKEN | {dso.name for dso in s.dsos}
    for index, other in enumerate(s.company):
        if other.name in taken:
            yield ("company", index, "name"), f"'{other.name}' is taken by gridseam itself; choose another name"
        if other.parts and other.count > 1:
            yield ("company", index, "parts"), "are those of one entity; leave `count` out"
        for column in {"time", "index", other.name} & set(other.record):
            yield ("company", index, "record"), f"'{column}' is taken in the run file"


def _record(s: Scenario) -> Iterator[Fault]:
    for name, info in Record.model_fields.items():
        period = getattr(s.record, name)
        if name.endswith("_ms") and period is not None and period % s.time.step_ms:
            text = f"{format_duration(period)} is not a multiple of the grid step, {format_duration(s.time.step_ms)}"
            yield ("record", str(info.alias)), text


def _expect(s: Scenario) -> Iterator[Fault]:
    if not s.expect:
        return
    from results.kpis.table import KPIS

    names = [k.name for k in KPIS]
    for kpi, expected in s.expect.items():
        if ":" in kpi:
            text = function_fault(kpi, s.folder)
            yield from [(("expect", kpi), text)] if text else []
        elif kpi not in names:
            yield ("expect", kpi), f"there is no key figure '{kpi}'{nearest(kpi, names)}"
        for number, one in enumerate(expected):
            if one.baseline and not (s.folder / one.baseline).is_file():
                yield ("expect", kpi, number, "baseline"), f"there is no file '{one.baseline}' beside the scenario"
