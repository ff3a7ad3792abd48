"""What a link is made of: latency, rate, loss and availability by technology, as one table."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from sims.core.errors import Problem, ScenarioError, nearest

Z95 = 1.645
"""The 95 % quantile of the standard normal distribution, as the table's p95 column uses it."""

DEFAULT = "engineering default"


@dataclass(frozen=True, slots=True)
class Technology:
    """One way in the air or in the ground; all figures one-way.

    Parameters
    ----------
    name : str
    median_ms, p95_ms : float
        Latency without queueing: lognormal with sigma = ln(p95 / median) / 1.645; equal values mean a
        constant latency.
    rate_bit_s : int
        What the link serves, 0 for without limit.
    loss : float
        Probability that a packet is lost on the way.
    availability : float
        Share of time the link is up; used where a scenario asks for random outages.
    source : str
        Where the figures come from.
    in_order : bool
        No packet overtakes another.
    duty : float
        Share of time a sender may occupy the channel (1 % in the 868 MHz band).
    """

    name: str
    median_ms: float
    p95_ms: float
    rate_bit_s: int
    loss: float
    availability: float
    source: str = DEFAULT
    in_order: bool = False
    duty: float = 1.0

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of the latency."""
        if self.median_ms <= 0.0 or self.p95_ms <= self.median_ms:
            return 0.0
        return math.log(self.p95_ms / self.median_ms) / Z95

    @property
    def mean_ms(self) -> float:
        """Expected latency [ms] of the lognormal: median exp(sigma^2 / 2)."""
        return self.median_ms * math.exp(self.sigma**2 / 2.0)

    def problems(self, where: str) -> list[Problem]:
        """Return what makes this row impossible, each with the allowed values."""
        found = []
        if not (math.isfinite(self.median_ms) and self.median_ms >= 0.0):
            found.append(Problem(where, "median_ms", f"{self.median_ms} must be a number >= 0"))
        elif not (math.isfinite(self.p95_ms) and self.p95_ms >= self.median_ms):
            text = f"{self.p95_ms} is below the median of {self.median_ms} ms"
            found.append(Problem(where, "p95_ms", text))
        elif self.median_ms == 0.0 and self.p95_ms > 0.0:
            text = "0 with a p95 above 0 is no lognormal; give a median > 0"
            found.append(Problem(where, "median_ms", text))
        if not (math.isfinite(self.rate_bit_s) and self.rate_bit_s >= 0):
            found.append(Problem(where, "rate_bit_s", f"{self.rate_bit_s} must be >= 0 (0: without limit)"))
        for name in ("loss", "availability"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                found.append(Problem(where, name, f"{value} is not a probability; it lies between 0 and 1"))
        if not 0.0 < self.duty <= 1.0:
            found.append(Problem(where, "duty", f"{self.duty} must be above 0 and at most 1"))
        return found


_MEASURED = "837 ms measured in the field; spread, rate and loss are engineering defaults"
_LORA = "EU 868 MHz regional parameters (1 % duty); latency engineering default"

PRESETS: dict[str, Technology] = {
    row.name: row
    for row in (
        Technology("ideal", 0.0, 0.0, 0, 0.0, 1.0, "no network at all: the limit case", in_order=True),
        Technology("fibre", 3.0, 6.0, 100_000_000, 1e-6, 0.9999),
        Technology("xdsl", 12.0, 25.0, 2_000_000, 1e-4, 0.997),
        Technology("lte450", 25.0, 60.0, 3_000_000, 1e-4, 0.9995),
        Technology("lte", 25.0, 80.0, 10_000_000, 1e-3, 0.995),
        Technology("5g", 20.0, 50.0, 35_000_000, 1e-3, 0.995),
        Technology("nb_iot", 800.0, 3000.0, 30_000, 1e-2, 0.99, _MEASURED),
        Technology("bb_plc", 10.0, 50.0, 5_000_000, 1e-2, 0.99),
        Technology("nb_plc", 400.0, 2000.0, 30_000, 5e-2, 0.95),
        Technology("rf_mesh", 400.0, 2000.0, 100_000, 1e-2, 0.993),
        Technology("geo", 270.0, 350.0, 1_000_000, 1e-3, 0.995),
        Technology("leo", 22.0, 50.0, 50_000_000, 1e-2, 0.99),
        Technology("lorawan", 400.0, 1800.0, 3_000, 5e-2, 0.99, _LORA, duty=0.01),
        Technology("phone", 300_000.0, 900_000.0, 0, 0.0, 1.0, "a call between control rooms", in_order=True),
        Technology("crew", 2_700_000.0, 5_400_000.0, 0, 0.0, 1.0, "a crew drives out"),
    )
}
"""Preset rows by name. A human channel (phone, crew) is a row as well: see `sims.comms.human`."""


def technology(name: str, where: str = "technology", **overrides: Any) -> Technology:
    """Return the preset `name`, with a scenario's `overrides` in place of its columns.

    Raises
    ------
    ScenarioError
        Unknown name or column (the nearest is named), or an impossible value.
    """
    row = PRESETS.get(name)
    if row is None:
        known = ", ".join(PRESETS)
        raise ScenarioError(
            [Problem(where, "", f"'{name}' is not one of {known}{nearest(name, PRESETS)}")]
        )
    columns = [f.name for f in fields(Technology)]
    unknown = [
        Problem(where, key, f"is not a column of a technology{nearest(key, columns)}")
        for key in overrides
        if key not in columns
    ]
    if unknown:
        raise ScenarioError(unknown)
    if "median_ms" in overrides and "p95_ms" not in overrides and row.median_ms > 0.0:
        # the shape stays: a slower median keeps the preset's relative spread
        overrides["p95_ms"] = overrides["median_ms"] * row.p95_ms / row.median_ms
    changed = replace(row, **overrides)
    if found := changed.problems(where):
        raise ScenarioError(found)
    return changed
