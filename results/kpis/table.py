"""The table of key figures, and how they are computed from a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from results.kpis import (
    cells,
    communication,
    effort,
    energy,
    faults,
    frequency,
    interface,
    reliability,
    responsibility,
    thermal,
    voltage,
)
from results.kpis.kpi import Better, Kpi, own_kpi
from results.runfile import Run
from sims.core.errors import GridseamError, Problem, ScenarioError

__all__ = ["KPIS", "Kpi", "compute", "definitions", "known_or_computed", "kpi_places", "own_kpi"]

_EN50160, _IEEE1366 = "EN 50160:2010", "IEEE Std 1366-2012"
_DMS = "Rezkalla et al., UPEC 2015"
_OWN = "gridseam"
_SWISSGRID = "Swissgrid, active voltage support"
_CODE = "ENTSO-E, operational reserve; Regulation (EU) 2017/1485"

_ELECTRA = "ELECTRA IRP, balance restoration control"
_DCC = "Regulation (EU) 2016/1388, article 15"
_AGE = "Kaul, Yates, Gruteser, INFOCOM 2012"

_Row = tuple[str, str, str, Callable[[Run], float], Better, str, str]
_TOPICS: dict[str, list[_Row]] = {
    "Voltage": [
        ("voltage_violation_bus_h", "Outside voltage band", "h", voltage.band_violation_bus_hours, "lower",
         _OWN, "Bus-hours outside the operating band; dark buses do not count."),
        ("voltage_en50160_share", "Buses within EN 50160", "1", voltage.en50160_bus_share, "higher",
         _EN50160, "Share of buses with 95 % of 10-min rms means within 10 % of nominal, over the run."),
        ("voltage_lowest_pu", "Lowest voltage", "pu", voltage.lowest_pu, "higher",
         _OWN, "Lowest voltage at any bus with supply."),
        ("voltage_highest_pu", "Highest voltage", "pu", voltage.highest_pu, "lower",
         _OWN, "Highest voltage at any bus."),
    ],
    "Loading": [
        ("line_overload_h", "Lines overloaded", "h", thermal.line_overload_hours, "lower",
         _OWN, "Line-hours above the rating."),
        ("line_overload_percent_h", "Line overload", "% h", thermal.line_percent_hours, "lower",
         _OWN, "Loading beyond 100 % times duration, summed over lines."),
        ("trafo_overload_h", "Transformers overloaded", "h", thermal.trafo_overload_hours, "lower",
         _OWN, "Transformer-hours above the rating."),
        ("trafo_overload_percent_h", "Transformer overload", "% h", thermal.trafo_percent_hours, "lower",
         _OWN, "Loading beyond 100 % times duration, summed over transformers."),
        ("loading_highest_percent", "Highest loading", "%", thermal.highest_loading_percent, "lower",
         _OWN, "Highest loading of any line or transformer."),
    ],
    "Energy": [
        ("curtailed_mwh", "Curtailed", "MWh", energy.curtailed_mwh, "lower",
         _DMS, "Sum of max(0, P_available - P) dt over sun and wind."),
        ("curtailed_share", "Curtailed share", "1", energy.curtailed_share, "lower",
         _DMS, "Curtailed energy over available energy."),
        ("losses_distribution_mwh", "Losses, distribution", "MWh", energy.distribution_losses_mwh, "lower",
         _OWN, "Losses in the distribution grids."),
        ("losses_transmission_mwh", "Losses, transmission", "MWh", energy.transmission_losses_mwh, "lower",
         _OWN, "Losses in the transmission grid."),
        ("ev_served_mwh", "Vehicles charged", "MWh", energy.ev_served_mwh, "none",
         _OWN, "Energy charged into vehicles less energy given back."),
        ("ev_unmet_mwh", "Vehicles not charged", "MWh", energy.ev_unmet_mwh, "lower",
         _OWN, "Energy asked for and missing at departure."),
    ],
    "Reliability": [
        ("saidi_min", "SAIDI", "min", reliability.saidi_min, "lower",
         _IEEE1366, "Customer minutes of interruption per customer served."),
        ("saifi", "SAIFI, any length", "1", reliability.saifi, "lower",
         _IEEE1366, "Customer interruptions of any length per customer served."),
        ("saifi_long", "SAIFI, over 3 min", "1", reliability.saifi_long, "lower",
         _IEEE1366, "Customer interruptions longer than 3 min per customer served."),
        ("caidi_min", "CAIDI", "min", reliability.caidi_min, "lower",
         _IEEE1366, "SAIDI over SAIFI: mean length of an interruption."),
        ("ens_mwh", "Energy not supplied", "MWh", reliability.ens_mwh, "lower",
         _OWN, "Unserved load times duration."),
    ],
    "Frequency": [
        ("frequency_lowest_hz", "Lowest frequency", "Hz", frequency.lowest_hz, "higher",
         _CODE, "Lowest frequency of any cell."),
        ("frequency_highest_hz", "Highest frequency", "Hz", frequency.highest_hz, "lower",
         _CODE, "Highest frequency of any cell."),
        ("frequency_rocof_hz_per_s", "Steepest change", "Hz/s", frequency.rocof_hz_per_s, "lower",
         _CODE, "Largest change over 500 ms; needs rows at least that dense."),
        ("frequency_outside_50mhz_s", "Beyond 50 mHz", "s", frequency.seconds_outside_50_mhz, "lower",
         _CODE, "Time with any cell more than 50 mHz off nominal."),
        ("frequency_outside_200mhz_s", "Beyond 200 mHz", "s", frequency.seconds_outside_200_mhz, "lower",
         _CODE, "Time with any cell more than 200 mHz off nominal."),
        ("frequency_iae_hz_s", "Frequency error integral", "Hz s", frequency.integral_abs_error_hz_s, "lower",
         _OWN, "Integral of the absolute deviation, worst cell."),
    ],
    "Interface": [
        ("interface_q_rmse_mvar", "Q off reference, rms", "Mvar", interface.q_rmse_mvar, "lower",
         _DMS, "Root mean square of Q - Q_ref at interfaces that have a reference."),
        ("interface_compliant_share", "Conforming 15-min slots", "1", interface.compliant_share, "higher",
         _SWISSGRID, "Share of slots with U within tolerance of U_set, or (U - U_set) Q <= 0."),
        ("interface_noncompliant_mvarh", "Q in failed slots", "Mvarh", interface.noncompliant_mvarh, "lower",
         _SWISSGRID, "Reactive energy exchanged in slots that do not conform: charged."),
        ("interface_compliant_mvarh", "Q in conforming slots", "Mvarh", interface.compliant_mvarh, "none",
         _SWISSGRID, "Reactive energy exchanged in slots that conform: paid for."),
        ("interface_q_band_share", "Time within Q band", "1", interface.q_band_share, "higher",
         _DCC, "Share of time with abs(Q) within the band of the interface."),
        ("interface_power_factor_share", "Cos phi at least 0.9", "1", interface.power_factor_share, "higher",
         _DCC, "Share of time with a power factor of at least 0.9 at the interface."),
    ],
    "Cells": [
        ("cell_tie_error_mwh", "Tie error integral", "MWh", cells.tie_error_mwh, "lower",
         _ELECTRA, "Integral of abs(P_tie - P_sched), summed over cells."),
        ("cell_restoration_s", "Restoration to 5 %", "s", cells.restoration_s, "lower",
         _ELECTRA, "From the peak of the worst tie error until it stays within 5 % of it for a quarter-hour."),
        ("cell_outside_share", "Left to other cells", "1", cells.outside_share, "lower",
         _ELECTRA, "Tie error of the disturbed cell over the last 15 min, over the power it lost."),
    ],
    "Control effort": [
        ("tap_operations", "Tap operations", "1", effort.tap_operations, "lower",
         _OWN, "Tap steps of all transformers."),
        ("switch_operations", "Switch operations", "1", effort.switch_operations, "lower",
         _OWN, "Switches opened or closed by order."),
        ("setpoint_effort_mw2", "Set-point effort", "MW²", effort.setpoint_effort, "lower",
         _OWN, "Sum of squared steps between successive set-points of an actor for an asset."),
        ("storage_throughput_mwh", "Storage throughput", "MWh", effort.storage_throughput_mwh, "none",
         _OWN, "Energy charged plus energy discharged."),
    ],
    "Communication": [
        ("messages", "Messages", "1", communication.messages, "lower",
         _OWN, "Messages sent."),
        ("message_mb", "Data sent", "MB", communication.megabytes, "lower",
         _OWN, "Bytes put on the network."),
        ("latency_p50_ms", "Latency, median", "ms", communication.median_latency_ms, "lower",
         _OWN, "Time on the way that half of the messages stay below."),
        ("latency_p95_ms", "Latency, 95 %", "ms", communication.p95_latency_ms, "lower",
         _OWN, "Time on the way that 95 % of the messages stay below."),
        ("messages_lost", "Messages lost", "1", communication.lost, "lower",
         _OWN, "Messages that never arrived, whatever the cause."),
        ("messages_lost_share", "Lost share", "1", communication.lost_share, "lower",
         _OWN, "Messages lost over messages sent."),
        ("information_age_s", "Age of information", "s", communication.mean_age_s, "lower",
         _AGE, "Mean age of the measurements behind the operators' picture."),
        ("decision_age_s", "Age of information at decisions", "s", communication.decision_age_s, "lower",
         _AGE, "Mean over the decisions that gave orders of the age of what their sites had heard from meters."),
        ("estimate_worst_pu", "Worst estimate", "pu", communication.worst_estimate_pu, "lower",
         _OWN, "Largest error of an estimated voltage."),
    ],
    "Responsibility": [
        ("acts", "Acts", "1", responsibility.acts, "none",
         _DMS, "Acts carried out."),
        ("acts_dso", "Acts of the DSO", "1", responsibility.acts_by_dso, "none",
         _DMS, "Acts of DMS, agents and operators."),
        ("acts_tso", "Acts of the TSO", "1", responsibility.acts_by_tso, "none",
         _DMS, "Acts of the TSO."),
        ("acts_devices", "Acts of devices", "1", responsibility.acts_by_devices, "none",
         _DMS, "Acts of laws inside devices."),
        ("acts_crews", "Acts of crews", "1", responsibility.acts_by_crews, "none",
         _DMS, "Acts of crews on site."),
        ("acts_refused", "Acts refused", "1", responsibility.refused, "lower",
         _DMS, "Acts that the table of responsibilities refused."),
        ("decisions_rejected", "Decisions rejected", "1", faults.rejected, "lower",
         _OWN, "Faults of controllers left out: decisions that failed, messages that cannot be sent or carried out."),
    ],
    "Quality of the run": [
        ("balance_residual_mw", "Power balance residual", "MW", energy.worst_balance_mw, "lower",
         _OWN, "Largest amount by which generation, load and losses did not add up."),
        ("diverged_feeder_steps", "Feeders without solution", "1", energy.diverged_feeder_steps, "lower",
         _OWN, "Rows of feeders whose power flow had no solution, where the scenario holds them; without figures."),
        ("boundary_residual_pu", "Boundary residual", "pu", energy.worst_residual_v_pu, "lower",
         _OWN, "Largest voltage mismatch left at a boundary after coupling."),
    ],
}  # fmt: skip

KPIS: tuple[Kpi, ...] = tuple(
    Kpi(name, label, topic, unit, definition, source, function, better)
    for topic, rows in _TOPICS.items()
    for name, label, unit, function, better, source, definition in rows
)


def kpi_places(kpis: Sequence[Kpi] = KPIS) -> list[tuple[str, str, str]]:
    """Return (name, unit, definition) of each, as `RunWriter` takes them."""
    return [(k.name, k.unit, k.definition) for k in kpis]


@cache
def definitions() -> str:
    """Return the fingerprint of the code that computes key figures; stored ones of another are computed again."""
    found = hashlib.blake2b(digest_size=16)
    here = Path(__file__).parent
    for path in sorted((*here.glob("*.py"), here.parent / "runfile.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def known_or_computed(run: Run, kpis: Sequence[Kpi] = KPIS) -> dict[str, float]:
    """Return what `compute` does, without computing what a complete run file holds by the same definitions."""
    stored = run.kpis if run.status == "complete" and run.kpi_definitions == definitions() else {}
    built_in = {k.name: k for k in KPIS}
    kept = {k.name: stored[k.name] for k in kpis if k.name in stored and built_in.get(k.name) is k}
    rest = compute(run, [k for k in kpis if k.name not in kept])
    return {k.name: kept[k.name] if k.name in kept else rest[k.name] for k in kpis}


def compute(run: Run, kpis: Sequence[Kpi] = KPIS) -> dict[str, float]:
    """Return every key figure of a run by name; NaN where the run does not hold what it needs.

    Raises
    ------
    ScenarioError
        A user's own KPI failed or returned no number, naming it.
    """
    found: dict[str, float] = {}
    for kpi in kpis:
        try:
            found[kpi.name] = float(kpi.function(run))
        except GridseamError:
            raise
        except Exception as err:
            if kpi.topic != "Own":
                raise
            text = f"failed on {run.path.name}: {type(err).__name__}: {err}"
            raise ScenarioError([Problem("kpi", kpi.source, text)]) from err
    return found
