"""The grids of a scenario: transmission, its reserves, and each DSO's interfaces and feeders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from scenarios import formats
from scenarios.base import Count, Name, NotNegative, Part, Percent, Positive, Real, Series, Text, Whole
from scenarios.durations import Duration
from sims.core.errors import nearest

if TYPE_CHECKING:
    from sims.transmission.case import MachineCase

ShippedGrid = Literal["mv_oberrhein", "mv_oberrhein_kerber", "cigre_mv", "cigre_mv_lv"]
SHIPPED_GRIDS: tuple[str, ...] = get_args(ShippedGrid)


def _grid(name: str) -> str:
    said = "" if name in SHIPPED_GRIDS else formats.fault(name)
    if said.startswith("nor"):
        said = f"'{name}' is not one of {' | '.join(SHIPPED_GRIDS)}, {said}{nearest(name, SHIPPED_GRIDS)}"
    if said:
        raise ValueError(said)
    return name


GridName = Annotated[Text, AfterValidator(_grid)]


class StaticLoad(Part):
    """The rest of each transmission bus's load, which no feeder stands for."""

    p_profile: Series = ("G0-A", "H0-A")
    """Profile series, mixed equally."""
    spread_percent: Percent = 5.0
    """Standard deviation of the buses' peaks around the table's value."""
    peak: Positive = 0.8
    """Highest value of the mixed profiles in their file's week, over the table's value."""


class Schedule(Part):
    """The exchange schedule between cells."""

    step_ms: Duration = Field(900_000, alias="step")
    """Length of one schedule slot."""
    forecast_error_percent: Percent = 2.0
    """Standard deviation of the load forecast behind it."""
    method: Literal["proportional", "opf"] = "proportional"
    """Set-points in proportion to the table's dispatch, or the cheapest ones that reserves, ramps and lines allow."""
    ramp_percent_per_min: Positive = 1.5
    """Change of a machine's set-point over its rating that `opf` plans with at most."""


class Reserve(Part):
    """Reserves that the generators of one cell hold."""

    cell: Count
    """Number of the cell in the transmission table."""
    fcr_mw: NotNegative = 0.0
    """Frequency containment reserve, both ways."""
    afrr_mw: NotNegative = 0.0
    """Automatic frequency restoration reserve, both ways; called by whoever balances the cell."""


class Afrr(Part):
    """The TSO's secondary control: proportional-integral on the area control error."""

    k_p: NotNegative = 0.1
    """Proportional gain."""
    t_i_ms: Duration = Field(120_000, alias="t_i")
    """Integral time."""
    cycle_ms: Duration = Field(4_000, alias="cycle")
    """From one set-point to the next while frequency moves; at rest there is one each grid step."""
    full_activation_ms: Duration = Field(300_000, alias="full_activation")
    """Until power stations give all of the reserve that is called, whoever calls it."""


class Frequency(Part):
    """How frequency is followed after a disturbance."""

    model: Literal["quasi_steady", "dynamic"] = "quasi_steady"
    """At the grid step under droop, or the machines' motion from the disturbance until they have settled."""
    coupling_ms: Duration = Field(20, alias="coupling")
    """Interval in which devices hear frequency and answer while it moves."""
    inertia_gws: Positive | None = None
    """Kinetic energy of all machines together; as in the table if not given."""
    h_max_s: Positive | None = None
    """Largest inertia constant of a machine, before `inertia_gws` scales all."""

    @model_validator(mode="after")
    def _fine(self) -> Self:
        if not 10 <= self.coupling_ms <= 50 or self.coupling_ms % 10:
            raise ValueError(f"coupling {self.coupling_ms} ms must be 10, 20, 30, 40 or 50 ms")
        return self

    def of(self, case: MachineCase) -> MachineCase:
        """Return `case` with the inertia asked for."""
        machines = case.machines
        if self.h_max_s is not None:
            h = machines["h_s"].clip(max=self.h_max_s)
            machines = replace(machines, values={**machines.values, "h_s": h})
        if self.inertia_gws is not None:
            machines = machines.scaled_inertia(self.inertia_gws * 1000 / float(machines.stored_mws.sum()))
        return case.with_machines(machines)


class Transmission(Part):
    """The transmission grid and how it is balanced."""

    grid: Text = "ieee39"
    """A shipped table, or ./file.json beside the scenario."""
    voltage_level: Annotated[float, Field(strict=True, ge=0.8, le=1.1)] = 1.0
    """Factor on the machines' voltage set-points; a lightly loaded grid wants less than 1."""
    self_regulation_percent_per_hz: NotNegative = 1.0
    """How far loads fall with frequency."""
    static_load: StaticLoad = StaticLoad()
    """The load that no feeder stands for."""
    schedule: Schedule = Schedule.model_validate({})
    """The exchange between cells."""
    reserves: tuple[Reserve, ...] = ()
    """Per cell; a cell without an entry holds none."""
    frequency: Frequency = Frequency.model_validate({})
    """Frequency after a disturbance."""
    afrr: Afrr = Afrr.model_validate({})
    """Secondary control before a cell balances itself."""


class Trafo(Part):
    """The transformer of an interface; its high side has the transmission bus's voltage."""

    sn_mva: Positive
    """Rated power."""
    vn_lv_kv: Positive = 110.0
    """Rated voltage of the low side."""
    vk_percent: Positive = 14.0
    """Short-circuit voltage."""
    vkr_percent: NotNegative = 0.3
    """Its resistive part."""
    tap_min: Whole = -12
    """Lowest tap position."""
    tap_max: Whole = 12
    """Highest tap position."""
    tap_step_percent: Positive = 1.25
    """Voltage of one tap."""
    v_set_pu: Positive = 1.02
    """Set-point of its automatic voltage regulator at the low side."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.vkr_percent > self.vk_percent:
            raise ValueError(f"vkr_percent {self.vkr_percent} is above vk_percent {self.vk_percent}")
        if not self.tap_min <= 0 <= self.tap_max:
            raise ValueError(f"taps {self.tap_min}..{self.tap_max} do not contain the neutral position 0")
        return self


class Shares(Part):
    """What stands in the feeders of one entry, where it differs from the `der` section."""

    pv_mw_per_mw_load: NotNegative | None = None
    """Installed PV over the feeder's peak load."""
    wind_mw_per_mw_load: NotNegative | None = None
    """Installed wind over the feeder's peak load."""
    storage_mw_per_mw_pv: NotNegative | None = None
    """Storage power over installed PV."""
    vehicles_per_mw_load: NotNegative | None = None
    """Electric vehicles over the feeder's peak load."""


class Grids(Shares):
    """`count` feeders of one grid."""

    grid: GridName
    """Which grid; ./file.json or .xlsx (pandapower), .m or .mat (MATPOWER), .zip or .xml (CGMES) beside the scenario,
    or simbench:CODE."""
    count: Annotated[int, Field(strict=True, ge=1, le=2000)] = 1
    """How many of them."""


class Interface(Part):
    """Where a DSO's feeders meet the transmission grid."""

    bus: Count
    """Number of the transmission bus."""
    trafo: Trafo
    """Between the transmission bus and the feeders."""
    grids: Annotated[tuple[Grids, ...], Field(min_length=1)]
    """The feeders behind it."""
    coupling: Literal["voltage_level", "per_unit"] = "voltage_level"
    """Feeders must have the low side's nominal voltage, or take over voltages per unit whatever theirs is."""


class Dso(Part):
    """One distribution system operator."""

    name: Annotated[Name, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
    """Name, first part of all its feeders' names."""
    cell: Count
    """Number of the cell it lies in."""
    interfaces: Annotated[tuple[Interface, ...], Field(min_length=1)]
    """Where it meets the transmission grid."""


class Limits(Part):
    """What counts as secure in the distribution grids."""

    v_busbar_pu: Positive = 1.02
    """Set-point of the regulators at the medium-voltage busbars."""
    v_min_pu: Positive = 0.95
    """Lowest permitted voltage."""
    v_max_pu: Real = 1.05
    """Highest permitted voltage."""
    loading_max_percent: Positive = 100.0
    """Highest permitted loading of lines and transformers."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.v_min_pu >= self.v_max_pu:
            raise ValueError(f"v_min_pu {self.v_min_pu} is not below v_max_pu {self.v_max_pu}")
        return self
