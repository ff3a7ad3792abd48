"""The pictures of a report: envelopes, exchange, frequency, responsibility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from results.drawing import (
    FAINT,
    INK,
    OTHER,
    ROLE,
    TimeAxis,
    colour,
    figure,
    pairing_panels,
    stage_style,
    style,
    svg,
)  # fmt: skip
from results.envelope import Envelope, envelope, line
from results.kpis.cells import tie_error_mw
from results.kpis.responsibility import roles
from results.runfile import Run

Pairing = tuple[str, int]
MAX_INTERFACES = 6
_DASH_PT = 4.2
"""Height of the mark of an act [points]."""
_MARKS = 240
"""Marks that can be told apart across a panel."""


def _grid(runs: Mapping[Pairing, Run]) -> tuple[list[str], list[int]]:
    return list(dict.fromkeys(a for a, _ in runs)), sorted({s for _, s in runs})


def _end_h(runs: Mapping[Pairing, Run]) -> float:
    return max((r.once("end_s", partial(_end_s, r)) for r in runs.values()), default=0.0) / 3600.0 or 1.0


def _end_s(run: Run) -> float:
    ends = [float(run.spans_s(k).sum() + run.seconds(k)[0]) for k in run.kinds if run.has(k)]
    return max(ends, default=0.0)


def envelopes(runs: Mapping[Pairing, Run], kind: str, quantity: str, y_label: str, title: str) -> str | None:
    """Return the spread of a quantity over all things of a kind, a panel per pairing; None without data."""
    found: dict[Pairing, Envelope] = {}
    bands: dict[Pairing, list[float]] = {}
    for pairing, run in runs.items():
        spread = envelope(run, kind, quantity)
        if spread is not None:
            about = run.group_attrs(kind)
            found[pairing] = spread
            limits = [about[k] for k in ("v_min_pu", "v_max_pu") if k in about]
            bands[pairing] = limits or ([100.0] if quantity == "loading_percent" else [])
    if not found:
        return None
    time = TimeAxis(_end_h(runs))

    def draw(ax: Any, architecture: str, stage: int) -> bool:
        spread = found.get((architecture, stage))
        if spread is None:
            return False
        shade, t = colour(architecture), time.of(spread.t_h)
        ax.fill_between(t, spread.lowest, spread.highest, color=shade, alpha=0.16, linewidth=0)
        ax.fill_between(t, spread.low, spread.high, color=shade, alpha=0.30, linewidth=0)
        ax.plot(t, spread.median, color=shade)
        for limit in bands[architecture, stage]:
            ax.axhline(limit, color=INK, linewidth=0.7, linestyle=(0, (4, 2)))
        return True

    with style():
        return svg(pairing_panels(*_grid(runs), draw, y_label, time), title)


def exchange(runs: Mapping[Pairing, Run]) -> tuple[str, int, int] | None:
    """Return (P and Q at each interface with the pairings overlaid, interfaces shown, interfaces in all)."""
    having = {p: r for p, r in runs.items() if r.has("interface", "p_mw", "q_mvar")}
    if not having:
        return None
    labels = list(dict.fromkeys(x for r in having.values() for x in r.labels("interface")))
    size = dict.fromkeys(labels, 0.0)
    for run in having.values():
        peak = np.nan_to_num(np.abs(run.values("interface", "p_mw"))).max(axis=0)
        for label, value in zip(run.labels("interface"), peak, strict=True):
            size[label] = max(size[label], float(value))
    largest = set(sorted(labels, key=lambda x: -size[x])[:MAX_INTERFACES])
    shown = [x for x in labels if x in largest]
    time = TimeAxis(_end_h(having))
    with style():
        fig, axes = figure(len(shown), 2, 1.5, gap=0.6, sharex=True)
        for pairing, run in having.items():
            t_s, names = run.seconds("interface"), run.labels("interface")
            data = {q: run.values("interface", q).astype(float) for q in ("p_mw", "q_mvar")}
            for i, label in enumerate(shown):
                if label not in names:
                    continue
                for j, quantity in enumerate(data):
                    signal = line(t_s, data[quantity][:, names.index(label)], 144)
                    axes[i, j].plot(
                        time.of(signal.t_h), signal.mean, color=colour(pairing[0]),
                        linestyle=stage_style(pairing[1]), linewidth=0.9,
                    )  # fmt: skip
        for i, label in enumerate(shown):
            for j, text in enumerate(("P to transmission (MW)", "Q to transmission (Mvar)")):
                axes[i, j].set_ylabel(text)
                axes[i, j].set_title(label)
                axes[i, j].axhline(0, color=FAINT, linewidth=0.6)
        time.apply(axes)
        return svg(fig, "Exchange at each interface"), len(shown), len(labels)


def _worst(run: Run, values: Any) -> Any:
    """Return the column whose largest absolute value is largest."""
    return values[:, int(np.nan_to_num(np.abs(values)).max(axis=0).argmax())]


def frequency(runs: Mapping[Pairing, Run]) -> str | None:
    """Return frequency and tie error of the cell that is worst off, architectures overlaid, a column a stage."""
    having = {p: r for p, r in runs.items() if r.has("cell", "f_hz")}
    if not having:
        return None
    _, stages = _grid(having)
    time = TimeAxis(_end_h(having))
    with style():
        fig, axes = figure(2, len(stages), 1.5, left=0.55, sharex=True, sharey="row")
        for (architecture, stage), run in having.items():
            nominal_hz = float(run.group_attrs("cell").get("f_nominal_hz", 50.0))
            t_s, f_hz = run.seconds("cell"), run.values("cell", "f_hz").astype(float)
            lines = [(_worst(run, f_hz - nominal_hz) * 1000.0, 0)]
            error = tie_error_mw(run)
            if error is not None:
                lines.append((_worst(run, error), 1))
            for values, row in lines:
                signal, ax, shade = line(t_s, values, 300), axes[row, stages.index(stage)], colour(architecture)
                t = time.of(signal.t_h)
                ax.fill_between(t, signal.lowest, signal.highest, color=shade, alpha=0.25, linewidth=0)
                ax.plot(t, signal.mean, color=shade, linewidth=0.9)
        for j, stage in enumerate(stages):
            axes[0, j].set_title(f"stage {stage}")
            for row in (0, 1):
                axes[row, j].axhline(0, color=FAINT, linewidth=0.6)
        time.apply(axes)
        axes[0, 0].set_ylabel("f - f nominal (mHz)")
        axes[1, 0].set_ylabel("tie error (MW)")
        return svg(fig, "Frequency and tie error")


def responsibility(runs: Mapping[Pairing, Run], duties: Sequence[str]) -> str | None:
    """Return when who acted under which duty, a panel per pairing; crosses are refused acts."""
    having = {p: r for p, r in runs.items() if r.has("actions", "t_ms")}
    if not having or not duties:
        return None
    time = TimeAxis(_end_h(runs))
    rows = {duty: len(duties) - 1 - i for i, duty in enumerate(duties)}
    high = 1.3
    dash = _DASH_PT / 72 / high * (len(rows) + 0.2)

    def draw(ax: Any, architecture: str, stage: int) -> bool:
        run = having.get((architecture, stage))
        ax.grid(axis="x", visible=False)
        if run is None:
            return False
        t, width = time.of(run.column("actions", "t_ms") / 3.6e6), float(time.of(time.end_h)) / _MARKS
        (who, of_role), (names, duty) = roles(run), run.numbered("actions", "duty")
        refused = ~run.is_one_of("actions", "refused", "")
        y = np.array([rows.get(d, np.nan) for d in names], dtype=float)[duty]
        for k, role in enumerate(role_order(who)):
            y_role = y + 0.16 * ((k % 3) - 1)
            of_actor, shade = of_role == who.index(role), role_colour(role)
            good, bad = (_apart(t, y_role, np.flatnonzero(of_actor & (refused == no)), width) for no in (False, True))
            gap = np.full(len(good), np.nan)  # parts one dash from the next: all of them are one line
            ends = np.column_stack([y_role[good] - dash / 2, y_role[good] + dash / 2, gap])
            ax.plot(
                np.column_stack([t[good], t[good], gap]).ravel(), ends.ravel(), color=shade, linewidth=0.8,
                solid_capstyle="butt",
            )  # fmt: skip
            ax.plot(t[bad], y_role[bad], "x", color=shade, markersize=3.2, markeredgewidth=0.8)
        return True

    def frame(ax: Any) -> None:
        ax.set_yticks(list(rows.values()), [d.replace("_", " ") for d in rows])
        ax.set_ylim(-0.6, len(rows) - 0.4)

    with style():
        fig = pairing_panels(*_grid(runs), draw, "", time, high=high, left=1.25, frame=frame)
        return svg(fig, "Responsibility timeline")


def _apart(t: Any, y: Any, mine: Any, width: float) -> Any:
    """Return of `mine` one for each place that can be told apart: a time `width` wide, and a height."""
    place = np.floor(t[mine] / width) + 1j * np.nan_to_num(y[mine], nan=-9.0)
    return mine[np.sort(np.unique(place, return_index=True)[1])]


def role_order(who: Iterable[str]) -> list[str]:
    """Return the roles that occur, known ones first."""
    present = set(who)
    return [*(r for r in ROLE if r in present), *sorted(present - set(ROLE))]


def role_colour(role: str) -> str:
    """Return the colour of a role."""
    return ROLE.get(role, OTHER[sum(role.encode()) % len(OTHER)])
