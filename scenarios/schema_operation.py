"""How a scenario is operated: duties' settings, handovers, own controllers, recording."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from scenarios.base import NotNegative, Part, Positive, Share, Text
from scenarios.durations import Delay, Duration, Moment
from scenarios.schema_disturbances import Settings

Architecture = Literal["local", "centralized", "distributed"]
Stage = Literal[1, 2, 3, 4]
Duty = Literal[
    "observe", "contain_frequency", "manage_congestion", "control_voltage", "restore_supply",
    "support_tso_voltage", "balance_cell", "provide_inertia",
]  # fmt: skip
Actor = Literal["dms", "agent", "tso"]
Signal = Literal[
    "cell.f_hz", "cell.p_tie_mw", "interface.f_hz", "interface.v_pu", "interface.p_mw", "interface.q_mvar",
    "interface.der_mw", "gen.f_hz", "gen.p_mech_mw", "gen.p_elec_mw",
]  # fmt: skip


class ManageCongestion(Part):
    """Settings of congestion management."""

    cycle_ms: Duration = Field(300_000, alias="cycle")
    """From one decision to the next."""


class ControlVoltage(Part):
    """Settings of voltage control."""

    cycle_ms: Duration = Field(300_000, alias="cycle")
    """From one decision to the next."""
    deadband_pu: NotNegative = 0.005
    """Deviations up to this are left alone."""


class RestoreSupply(Part):
    """Settings of restoration."""

    crew_delay_ms: Delay = Field(2_700_000, alias="crew_delay")
    """Until a crew has switched by hand (median)."""
    remote_delay_ms: Delay = Field(60_000, alias="remote_delay")
    """Until a remote switching sequence is done."""


class SupportTsoVoltage(Part):
    """Settings of interface voltage support."""

    k_p_mvar_per_pu: Positive = 4000.0
    """Reactive power asked for per deviation of the voltage."""
    band_share: Share = 0.48
    """Static band of reactive power over the larger maximum of import and export (EU 2016/1388, art. 15)."""
    cycle_ms: Duration = Field(60_000, alias="cycle")
    """From one decision to the next."""


class BalanceCell(Part):
    """Settings of cell balance restoration."""

    k_p: NotNegative = 0.1
    """Proportional gain."""
    t_i_ms: Duration = Field(120_000, alias="t_i")
    """Integral time."""
    cycle_ms: Duration = Field(4_000, alias="cycle")
    """From one call of power stations to the next while frequency moves; at rest there is one each grid step."""


class Control(Part):
    """Settings handed to whoever holds a duty."""

    manage_congestion: ManageCongestion = ManageCongestion.model_validate({})
    control_voltage: ControlVoltage = ControlVoltage.model_validate({})
    restore_supply: RestoreSupply = RestoreSupply.model_validate({})
    support_tso_voltage: SupportTsoVoltage = SupportTsoVoltage.model_validate({})
    balance_cell: BalanceCell = BalanceCell.model_validate({})

    def settings(self, duty: str) -> dict[str, Any]:
        """Return the settings of `duty` by attribute name (times in ms); empty for a duty without settings."""
        part = getattr(self, duty, None)
        return part.model_dump() if isinstance(part, Part) else {}


class FromStage(Part):
    """From which stage the DSO's side holds a duty; laws inside devices go by the stage itself."""

    manage_congestion: Stage = 2
    """Relief of overloads and voltages by active power."""
    control_voltage: Stage = 2
    """Voltages by taps and reactive power."""
    restore_supply: Stage = 2
    """Supply after a fault, by remote switching."""
    support_tso_voltage: Stage = 3
    """Reactive power at interfaces."""
    balance_cell: Stage = 4
    """Scheduled exchange of the cell."""
    provide_inertia: Stage = 4
    """Inertia of the cell."""


class Transfer(Part):
    """A duty that changes hands within the run."""

    at: Moment
    """When: ``"12:00"``, ``"1d 06:00"``, or a duration since the start."""
    duty: Literal["support_tso_voltage", "balance_cell"]
    """Which; others are the DSO's own matter."""
    to: Literal["dso", "tso"]
    """Who holds it from then on, whatever the stage."""

    @property
    def words(self) -> str:
        """What happens, in a few words."""
        return f"{self.duty.replace('_', ' ')} to {self.to.upper()}"


class OwnController(Part):
    """A controller of the user's own, in place of ours."""

    use: Text
    """./file.py:Class beside the scenario, package.module:Class, or an entry point's name."""
    at: Actor
    """Where it decides."""
    duties: Annotated[tuple[Duty, ...], Field(min_length=1)]
    """What it decides; ours keep the other duties."""
    architecture: Architecture | None = None
    """In which architecture it stands in; in all of them if not given."""
    settings: Settings = Field(default_factory=dict)
    """Handed to it as they are, above those of its duties."""
    budget_ms: Duration = Field(300_000, alias="budget")
    """How long one decision may take in real time before the run is stopped."""
    on_error: Literal["stop", "fallback"] = "stop"
    """What follows when it raises, or sends numbers that are none, odd shapes or the name of something that is not
    there: the run stops, or goes on without what was wrong; set-points in force hold until they expire."""
    isolate: bool = False
    """Let it decide in a process of its own, which may crash or hang in a loop of C without the run."""


class Record(Part):
    """How often each kind of thing is recorded, and what of it while frequency moves."""

    default_ms: Duration = Field(60_000, alias="default")
    """Whatever is not named."""
    bus_ms: Duration | None = Field(None, alias="bus")
    line_ms: Duration | None = Field(None, alias="line")
    trafo_ms: Duration | None = Field(None, alias="trafo")
    feeder_ms: Duration | None = Field(None, alias="feeder")
    interface_ms: Duration | None = Field(None, alias="interface")
    cell_ms: Duration | None = Field(None, alias="cell")
    gen_ms: Duration | None = Field(None, alias="gen")
    system_ms: Duration | None = Field(None, alias="system")
    estimate_ms: Duration | None = Field(None, alias="estimate")
    fine: tuple[Signal, ...] = get_args(Signal)
    """Signals written at each exchange between two grid steps, where frequency is followed."""

    def period_ms(self, kind: str) -> int:
        """Return the spacing of rows of `kind` [ms]."""
        found = getattr(self, f"{kind}_ms", None)
        return int(found) if found is not None else self.default_ms


ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
STAGES: tuple[int, ...] = get_args(Stage)
DUTIES: tuple[str, ...] = get_args(Duty)
