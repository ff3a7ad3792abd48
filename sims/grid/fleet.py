"""Many feeders of one topology, solved together as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.element_inputs import ElementInputs
from sims.grid.flows import Flows
from sims.grid.group import FeederGroup
from sims.grid.injections import CurveSet, Injections
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray


class FleetPowerFlow:
    """Power flow of `n_feeders` feeders of one topology; any feeder may move to a variant of it.

    Radial feeders are swept, ring and meshed ones share a factorisation; each starts from its last
    solution. A feeder that neither finds is handed to pandapower alone; if that fails too it is marked
    diverged and its voltages are NaN until it converges again.

    Parameters
    ----------
    compiled : CompiledNet
        Without voltage-controlling generators; `MeshedPowerFlow` takes those.
    n_feeders : int
    tolerance_pu : float
        Largest remaining voltage error aimed at [pu].
    max_fallbacks : int
        At most so many feeders a call are handed to pandapower, which takes some 30 ms each.

    Raises
    ------
    GridError
        The grid has a generator in service that holds a voltage.
    """

    def __init__(
        self, compiled: CompiledNet, n_feeders: int = 1, *, tolerance_pu: float = 1e-8, max_fallbacks: int = 8
    ) -> None:
        gens = compiled.elements["gen"]
        free = gens.in_service & ~np.isin(gens.node, compiled.roots)
        if free.any():
            raise GridError(f"net {compiled.name}: gen {gens.index[free][0]} holds a voltage; fleets take sgen only "
                            "(MeshedPowerFlow takes gen)")
        if n_feeders < 1:
            raise GridError(f"net {compiled.name}: a fleet needs at least one feeder, not {n_feeders}")
        self.compiled = compiled
        self.n_feeders = n_feeders
        self.tolerance_pu = tolerance_pu
        self.max_fallbacks = max_fallbacks
        n, w = compiled.n_nodes, n_feeders
        self._elements = ElementInputs(compiled, w)
        self._zip: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None
        self._from_elements()
        self._shares: tuple[FloatArray, FloatArray] | None = None
        self._no_curves()
        self._slack: ComplexArray = np.repeat(compiled.root_v[:, None], w, axis=1)
        self._slots = np.array([[t.initial - int(t.positions[0])] * w for t in compiled.taps],
                               dtype=np.int64).reshape(len(compiled.taps), w)
        self._variant: list[CompiledNet] = [compiled] * w
        self._groups: list[FeederGroup] = [FeederGroup(compiled, np.arange(w))]
        self._vr, self._vi = np.ones((n, w)), np.zeros((n, w))
        self._started = np.zeros(w, dtype=bool)
        self.converged: BoolArray = np.zeros(w, dtype=bool)
        self.iterations: IntArray = np.zeros(w, dtype=np.int64)

    # ------------------------------------------------------------------ inputs

    def set_injection(self, p_mw: ArrayLike, q_mvar: ArrayLike) -> None:
        """Inject `p_mw`, `q_mvar` [node, feeder] or [node] as constant power, generation positive."""
        inv = 1.0 / self.compiled.base_mva
        np.multiply(self._sized(p_mw, "p_mw"), inv, out=self._p)
        np.multiply(self._sized(q_mvar, "q_mvar"), inv, out=self._q)
        self._zip = None

    def set_zip(self, share_z: ArrayLike | None, share_i: ArrayLike | None = None) -> None:
        """Let these shares [1] of every nodal injection follow |V|^2 and |V|; None ends it.

        Parameters
        ----------
        share_z, share_i : array_like [node] or [node, feeder]
        """
        if share_z is None and share_i is None:
            self._shares = None
            return
        z = self._sized(0.0 if share_z is None else share_z, "share_z")
        i = self._sized(0.0 if share_i is None else share_i, "share_i")
        if (z + i).max(initial=0.0) > 1.0 + 1e-12 or min(z.min(initial=0.0), i.min(initial=0.0)) < 0.0:
            raise GridError(f"net {self.compiled.name}: ZIP shares must be >= 0 and add up to at most 1")
        self._shares = (np.array(z), np.array(i))

    def set_curves(self, curves: Sequence[Curve], p_amp_mw: ArrayLike, q_amp_mvar: ArrayLike) -> None:
        """Inject amplitude x curve(|V|) on top, solved with the grid whatever the slope.

        Parameters
        ----------
        curves : sequence of Curve
            Over voltage [pu]; an empty sequence ends it.
        p_amp_mw, q_amp_mvar : array_like [curve, node, feeder]
        """
        if not len(curves):
            self._no_curves()
            return
        shape = (len(curves), self.compiled.n_nodes, self.n_feeders)
        p, q = np.asarray(p_amp_mw, dtype=float), np.asarray(q_amp_mvar, dtype=float)
        for name, given in (("p_amp_mw", p), ("q_amp_mvar", q)):
            if given.shape != shape:
                raise GridError(f"net {self.compiled.name}: {name} has shape {given.shape}, needs "
                                f"[curve, node, feeder] = {shape}")
        self._curves = CurveSet.of(curves)
        self._p_amp, self._q_amp = p / self.compiled.base_mva, q / self.compiled.base_mva
        self._active = (p != 0).any(axis=2) | (q != 0).any(axis=2)

    def _no_curves(self) -> None:
        self._curves = CurveSet.of(())
        self._active = np.zeros((0, self.compiled.n_nodes), dtype=bool)
        self._p_amp = self._q_amp = np.zeros((0, self.compiled.n_nodes, self.n_feeders))

    def set(self, kind: str, field: str, values: ArrayLike) -> None:
        """Write a column of an element table for all feeders, in pandapower's units and signs.

        Parameters
        ----------
        kind : str
            ``load``, ``sgen`` or ``storage``.
        field : str
            ``p_mw`` or ``q_mvar``.
        values : array_like [element, feeder] or [element]
        """
        self._elements.set(kind, field, values)
        self._from_elements()

    def _from_elements(self) -> None:
        p, p_i, p_z, q, q_i, q_z = (s / self.compiled.base_mva for s in self._elements.nodal())
        self._p, self._q = p, q
        self._zip = (p_i, p_z, q_i, q_z) if self._elements.depends else None

    def set_slack(self, v: ArrayLike) -> None:
        """Hold the roots at `v` [feeder] (all roots) or [root, feeder], complex [pu]."""
        given = np.asarray(v, dtype=np.complex128)
        try:
            self._slack = np.array(np.broadcast_to(given, self._slack.shape))
        except ValueError:
            raise GridError(f"net {self.compiled.name}: slack voltage has shape {given.shape}, needs [feeder] = "
                            f"({self.n_feeders},) or [root, feeder] = {self._slack.shape}") from None

    def set_tap(self, trafo: int, position: ArrayLike) -> None:
        """Put transformer `trafo` (a row of `compiled.taps`) on `position` [feeder] or one for all."""
        taps = self.compiled.taps
        if not 0 <= trafo < len(taps):
            raise GridError(f"net {self.compiled.name}: no transformer number {trafo}; it has {len(taps)}")
        self._slots[trafo] = taps[trafo].slot(position, self.compiled.name)

    def tap(self, trafo: int) -> IntArray:
        """Return the tap positions of transformer `trafo` [feeder]."""
        return np.asarray(self._slots[trafo] + int(self.compiled.taps[trafo].positions[0]))

    def set_variant(self, feeder: int, variant: CompiledNet | None) -> None:
        """Move one feeder to a variant of the grid (`TopologyVariants`), or back with None."""
        variant = variant or self.compiled
        if variant.n_nodes != self.compiled.n_nodes or variant.n_branches != self.compiled.n_branches:
            raise GridError(f"net {self.compiled.name}: {variant.name} is not a variant of it")
        if self._variant[feeder] is variant:
            return
        self._variant[feeder] = variant
        members: dict[int, tuple[CompiledNet, list[int]]] = {}
        for j, net in enumerate(self._variant):
            members.setdefault(id(net), (net, []))[1].append(j)
        kept = {(id(g.net), g.feeders.tobytes()): g for g in self._groups}
        self._groups = []
        for net, columns in members.values():
            feeders = np.array(columns, dtype=np.int64)
            self._groups.append(kept.get((id(net), feeders.tobytes())) or FeederGroup(net, feeders))
        self._started[feeder] = False

    def variant(self, feeder: int) -> CompiledNet:
        """Return the topology one feeder is in; its `dark` lists the nodes without supply."""
        return self._variant[feeder]

    def _sized(self, values: ArrayLike, what: str) -> FloatArray:
        given = np.asarray(values, dtype=float)
        shape = (self.compiled.n_nodes, self.n_feeders)
        if given.ndim == 1:
            given = given[:, None]
        try:
            return np.broadcast_to(given, shape)
        except ValueError:
            raise GridError(f"net {self.compiled.name}: {what} has shape {given.shape}, needs [node, feeder] = "
                            f"{shape}") from None

    # ------------------------------------------------------------------ solution

    def solve(self) -> BoolArray:
        """Solve all feeders; returns converged[feeder]."""
        inj = self._injections()
        for group in self._groups:
            whole = len(group.feeders) == self.n_feeders
            self._solve_group(group, inj if whole else inj.take(group.feeders), whole)
        self._fall_back(inj)
        lost = ~self.converged
        if lost.any():
            self._vr[:, lost] = self._vi[:, lost] = np.nan
        self._started[:] = self.converged
        return self.converged.copy()

    def _injections(self) -> Injections:
        p, q, terms = self._p, self._q, self._zip
        if self._shares is not None:
            z, i = self._shares
            terms = (p * i, p * z, q * i, q * z)
            p, q = p * (1.0 - z - i), q * (1.0 - z - i)
        return Injections(p, q, terms, self._curves, self._active, self._p_amp, self._q_amp)

    def _solve_group(self, group: FeederGroup, inj: Injections, whole: bool) -> None:
        net, cols = group.net, group.feeders
        cold = cols[~self._started[cols]]
        if len(cold):
            start = group.turns[:, None] * self._slack[0, cold]
            self._vr[:, cold], self._vi[:, cold] = start.real, start.imag
        vr, vi = (self._vr, self._vi) if whole else (self._vr[:, cols], self._vi[:, cols])
        vr, vi = np.ascontiguousarray(vr), np.ascontiguousarray(vi)
        group.solver.set_slots(np.ascontiguousarray(self._slots[:, cols]))
        root_v = self._slack[np.ix_(group.root_rows, cols)]
        ok, steps = group.solver.solve(inj.gathered(net.rep), root_v, vr, vi, self.tolerance_pu)
        if len(group.joined_nodes):
            vr[group.joined_nodes] = vr[net.rep[group.joined_nodes]]
            vi[group.joined_nodes] = vi[net.rep[group.joined_nodes]]
        if not net.live.all():
            vr[~net.live] = vi[~net.live] = 0.0
        if not whole:
            self._vr[:, cols], self._vi[:, cols] = vr, vi
        self.converged[cols], self.iterations[cols] = ok, steps

    def _fall_back(self, inj: Injections) -> None:
        """Hand feeders that did not converge to pandapower, one by one."""
        if inj.has_curves or self._shares is not None or self._zip is not None:
            return
        for j in np.nonzero(~self.converged)[0][: self.max_fallbacks]:
            from sims.grid import reference  # pandapower itself: only where it is asked

            v = reference.solved_voltages(self._variant[j], self.export(int(j)))
            if v is not None:
                self._vr[:, j], self._vi[:, j] = v.real, v.imag
                self.converged[j] = True

    # ------------------------------------------------------------------ views

    @property
    def v(self) -> ComplexArray:
        """Complex voltage [node, feeder] [pu]; 0 on dark nodes, NaN where a feeder diverged."""
        return self._vr + 1j * self._vi

    @property
    def vm(self) -> FloatArray:
        """Voltage magnitude [node, feeder] [pu]."""
        return np.sqrt(self._vr**2 + self._vi**2)

    @property
    def va(self) -> FloatArray:
        """Voltage angle [node, feeder] [rad]."""
        return np.arctan2(self._vi, self._vr)

    @property
    def loading_percent(self) -> FloatArray:
        """Loading [branch, feeder] [%], as pandapower defines it."""
        return self._gather(lambda g, *a: g.reader.loading_percent(*a), self.compiled.n_branches)

    @property
    def flows(self) -> Flows:
        """Power entering each branch at both ends [branch, feeder]."""
        names = ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar")
        stack = self._gather(
            lambda g, *a: np.concatenate([getattr(f, n) for f in [g.reader.flows(*a)] for n in names]),
            4 * self.compiled.n_branches)
        return Flows(*np.split(stack, 4))

    def readings(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return (p_from_mw, q_from_mvar, loading_percent) [branch, feeder] and loss_mw [feeder] in one pass."""
        n = self.compiled.n_branches
        stack = self._gather(lambda g, *a: g.reader.readings(*a), 3 * n + 1)
        return stack[:n], stack[n : 2 * n], stack[2 * n : 3 * n], stack[3 * n]

    @property
    def loss_mw(self) -> FloatArray:
        """Losses in branches and shunts [feeder] [MW], from branch flows."""
        return np.asarray(self._gather(lambda g, *a: g.reader.loss_mw(*a)[None], 1)[0])

    @property
    def slack_p_mw(self) -> FloatArray:
        """Active power drawn from the roots [feeder] [MW]."""
        return self.slack_pq()[0]

    @property
    def slack_q_mvar(self) -> FloatArray:
        """Reactive power drawn from the roots [feeder] [Mvar]."""
        return self.slack_pq()[1]

    def slack_pq(self) -> tuple[FloatArray, FloatArray]:
        """Return (slack_p_mw, slack_q_mvar) [feeder] in one go."""
        both = self._slack_power()
        return both[0], both[1]

    def injected(self) -> tuple[FloatArray, FloatArray]:
        """Return what the nodes inject at the solution (p_mw, q_mvar) [node, feeder]; 0 on dark nodes."""
        vm = self.vm
        p, q = self._injections().at(vm)
        dead = np.stack([~self._variant[j].live for j in range(self.n_feeders)], axis=1)
        return np.where(dead, 0.0, p) * self.compiled.base_mva, np.where(dead, 0.0, q) * self.compiled.base_mva

    def _slack_power(self) -> FloatArray:
        inj = self._injections()

        def read(g: FeederGroup, vr: FloatArray, vi: FloatArray, slots: IntArray) -> FloatArray:
            p, q = g.reader.into_grid(vr, vi, slots)
            at = g.root_nodes
            own = inj if len(g.feeders) == self.n_feeders else inj.take(g.feeders)
            own_p, own_q = own.at(np.hypot(vr[at], vi[at]), at)
            base = self.compiled.base_mva
            return np.stack((p.sum(axis=0) - own_p.sum(axis=0) * base, q.sum(axis=0) - own_q.sum(axis=0) * base))

        return self._gather(read, 2)

    def _gather(self, read: Any, rows: int) -> FloatArray:
        """Put together what `read(group, vr, vi, slots)` gives for each group."""
        if len(self._groups) == 1:
            return np.asarray(read(self._groups[0], self._vr, self._vi, self._slots))
        out = np.empty((rows, self.n_feeders))
        for g in self._groups:
            cols = g.feeders
            out[:, cols] = read(g, np.ascontiguousarray(self._vr[:, cols]), np.ascontiguousarray(self._vi[:, cols]),
                                self._slots[:, cols])
        return out

    def export(self, feeder: int = 0) -> Any:
        """Return a pandapower net in the state of one feeder: inputs, taps, switches, slack."""
        taps = {i: int(self.tap(i)[feeder]) for i, t in enumerate(self.compiled.taps) if len(t.positions) > 1}
        p, q = self.injected()
        bad = ~np.isfinite(p[:, feeder])
        p[bad, feeder] = self._p[bad, feeder] * self.compiled.base_mva
        q[bad, feeder] = self._q[bad, feeder] * self.compiled.base_mva
        from sims.grid import reference

        return reference.export(self._variant[feeder], p[:, feeder], q[:, feeder], self._slack[:, feeder], taps)
