"""The state of one area as a linear least-squares estimate with a gain worked out beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.belief import FeederBelief
from controllers.distributed.paths import branch_impedance, source_transformers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Accuracy:
    """Standard deviations of what an area's estimate is made of.

    Voltages in pu; powers as a share of the node's nameplate; flows [MVA].
    """

    v_own_pu: float = 0.002
    v_frame_pu: float = 0.008
    v_boundary_pu: float = 0.0003
    power_own: float = 0.02
    power_frame: float = 0.15
    power_pseudo: float = 0.4
    flow_mva: float = 0.02


class AreaState:
    """Voltages of an area from measurements inside it, flows at its edges and the voltage above it.

    Unknown are the voltage at each entry (the node next to the source where power comes in) and the
    injections of the nodes that have any; nodes without are zero injections and no unknowns. Voltages are
    linear in both, with w = U^2 / 2 as the variable: w_i = w_entry + sum (r P + x Q) over the common way to
    the entry (Baran and Wu, IEEE Trans. Power Delivery 4(1), 1989, without the loss term). Weighted least
    squares then is one matrix, made again only when another set of measurements is at hand.

    Attributes
    ----------
    node : ndarray of int [model node]
        Nodes of the area below its entries; a source above its transformers is not among them.
    entry : ndarray of int [entry]
        Nodes at which power comes in.
    entry_line : ndarray of int [entry]
        pandapower index of the line above an entry, -1 where a transformer of the primary substation is.
    injecting : ndarray of int [injection]
    exit_node, exit_line, exit_area : ndarray of int [exit]
        Own end, pandapower index and far area of each line that feeds another area.
    """

    def __init__(self, feeder: FeederBelief, area: int, own_node: int, accuracy: Accuracy) -> None:
        self.accuracy = accuracy
        grid = feeder.grid
        sources = set(source_transformers(grid).tolist())
        inside = (feeder.area == area) & grid.live & (grid.parent >= 0) & (grid.rep == np.arange(grid.n_nodes))
        self.node: Ints = np.array([n for n in grid.order if inside[n]], dtype=np.int64)
        at = {int(n): k for k, n in enumerate(self.node)}
        up_branch = [int(grid.parent_branch[n]) for n in self.node]
        up_node = [int(grid.rep[grid.parent[n]]) for n in self.node]
        heads = [k for k, n in enumerate(up_node) if n not in at or up_branch[k] in sources]
        self.entry: Ints = self.node[heads]
        self.entry_trafo = np.array([_order(sorted(sources), up_branch[k]) for k in heads], dtype=np.int64)
        self.entry_line = np.array(
            [grid.branch_element[up_branch[k]] if up_branch[k] not in sources else -1 for k in heads], dtype=np.int64
        )
        self.entry_area = np.array(
            [feeder.area[up_node[k]] if up_branch[k] not in sources else -1 for k in heads], dtype=np.int64
        )
        z = branch_impedance(grid)
        self.entry_z = np.array([z[up_branch[k]] for k in heads])
        size = len(self.node)
        way = np.zeros((size, size))
        gain = np.zeros((size, len(heads)))
        for k in range(size):
            if k in heads:
                gain[k, heads.index(k)] = 1.0
            else:
                above = at[up_node[k]]
                ratio = _ratio(grid, up_branch[k], int(self.node[k]))
                way[k], gain[k] = way[above], gain[above] * ratio**2
                way[k, k] = 1.0
        z_up = z[up_branch]
        self.r, self.x = way @ (z_up.real[:, None] * way.T), way @ (z_up.imag[:, None] * way.T)
        self.gain = gain
        rated = np.hypot(feeder.load_mw, feeder.load_mvar)
        np.add.at(rated, feeder.devices.node, feeder.devices.s_rated_mva * (feeder.devices.kind != "load"))
        rated = np.bincount(grid.rep, rated, minlength=grid.n_nodes)
        told = np.array([bool(g) for g in feeder.gateways])
        self.injecting: Ints = np.array([n for n in self.node if rated[n] > 0 or told[n]], dtype=np.int64)
        self.rated_mva = np.maximum(rated[self.injecting], 0.02)
        self.pseudo_p = -0.5 * feeder.load_mw[self.injecting]
        self.pseudo_q = -0.5 * feeder.load_mvar[self.injecting]
        rows = np.flatnonzero((grid.branch_kind == "line") & grid.joined)
        ends = np.stack((grid.rep[grid.branch_from[rows]], grid.rep[grid.branch_to[rows]]), axis=1)
        exits = [
            (int(a), int(grid.branch_element[row]), int(feeder.area[b]), row)
            for row, pair in zip(rows, ends, strict=True)
            for a, b in (pair, pair[::-1])
            if int(a) in at and feeder.area[b] != area and int(grid.parent[b]) >= 0 and grid.parent_branch[b] == row
        ]
        self.exit_node = np.array([e[0] for e in exits], dtype=np.int64)
        self.exit_line = np.array([e[1] for e in exits], dtype=np.int64)
        self.exit_area = np.array([e[2] for e in exits], dtype=np.int64)
        self._own = at.get(int(grid.rep[own_node]), -1)
        self._inject = np.array([at[int(n)] for n in self.injecting], dtype=np.int64)
        self._exit = np.array([at[int(n)] for n in self.exit_node], dtype=np.int64)
        self._head = np.array(heads, dtype=np.int64)
        self._model = self._linear()

    @property
    def n_z(self) -> int:
        """Length of the vector of measurements.

        w of the own node, w of each injecting node, P and Q of each injecting node, P and Q upwards at each
        entry, w at each entry, P and Q outwards at each exit.
        """
        return 1 + 3 * len(self.injecting) + 3 * len(self.entry) + 2 * len(self.exit_node)

    def gain_matrix(
        self, framed: NDArray[np.bool_], own_injection: int, bounded: NDArray[np.bool_]
    ) -> Floats:
        """Return the matrix from measurements to results.

        Parameters
        ----------
        framed : ndarray of bool [injection]
            A frame has come from the node; else its powers are nameplate and its voltage counts nothing.
        own_injection : int
            Row in `injecting` of the own substation, -1 where it has no injection.
        bounded : ndarray of bool [entry]
            The voltage at the entry is known from above (a neighbour, or the primary substation).

        Returns
        -------
        ndarray [result, n_z]
            Results: w of each model node, angle of each exit against its entry [rad], P and Q upwards at each
            entry [MW, Mvar].
        """
        acc, n_e, model = self.accuracy, len(self.entry), self._model
        share = np.where(framed, acc.power_frame, acc.power_pseudo)
        if own_injection >= 0:
            share[own_injection] = acc.power_own
        sigma = np.concatenate((
            [acc.v_own_pu if self._own >= 0 else 1e3],
            np.where(framed, acc.v_frame_pu, 1e3),
            np.tile(share * self.rated_mva, 2),
            np.full(2 * n_e, acc.flow_mva),
            np.where(bounded, np.where(self.entry_line >= 0, acc.v_boundary_pu, acc.v_own_pu), 1e3),
        ))
        weighted = model.measured / sigma[:, None]
        estimate = model.result @ (np.linalg.solve(weighted.T @ weighted, weighted.T) / sigma)
        matrix: Floats = np.hstack((estimate, model.result_out - estimate @ model.measured_out))
        return matrix

    def _linear(self) -> _Linear:
        """Return results and measurements in terms of the unknowns (w_entry, p, q) and of the known outflows."""
        n_i, n_e, n_x = len(self.injecting), len(self.entry), len(self.exit_node)
        on_entry = self.gain > 0
        w_state = np.hstack((self.gain, self.r[:, self._inject], self.x[:, self._inject]))
        w_out = -np.hstack((self.r[:, self._exit], self.x[:, self._exit]))
        under = on_entry[self._inject].T.astype(float)
        out_under = on_entry[self._exit].T.astype(float)
        zero_i, zero_x, zero_e = np.zeros((n_e, n_i)), np.zeros((n_e, n_x)), np.zeros((n_e, n_e))
        up_state = np.vstack((np.hstack((zero_e, under, zero_i)), np.hstack((zero_e, zero_i, under))))
        up_out = -np.vstack((np.hstack((out_under, zero_x)), np.hstack((zero_x, out_under))))
        own = np.zeros((1, w_state.shape[1])) if self._own < 0 else w_state[[self._own]]
        own_out = np.zeros((1, 2 * n_x)) if self._own < 0 else w_out[[self._own]]
        unit = np.hstack((np.zeros((2 * n_i, n_e)), np.eye(2 * n_i)))
        h = np.vstack((own, w_state[self._inject], unit, up_state, w_state[self._head]))
        d = np.vstack((own_out, w_out[self._inject], np.zeros((2 * n_i, 2 * n_x)), up_out, w_out[self._head]))
        angle_state = np.hstack((np.zeros((n_x, n_e)), self.x[np.ix_(self._exit, self._inject)],
                                 -self.r[np.ix_(self._exit, self._inject)]))
        angle_out = -np.hstack((self.x[np.ix_(self._exit, self._exit)], -self.r[np.ix_(self._exit, self._exit)]))
        return _Linear(h, d, np.vstack((w_state, angle_state, up_state)), np.vstack((w_out, angle_out, up_out)))


@dataclass(frozen=True)
class _Linear:
    """What is measured and what is wanted, each by the unknowns [row, unknown] and by the outflows [row, outflow]."""

    measured: Floats
    measured_out: Floats
    result: Floats
    result_out: Floats


def _order(rows: list[int], row: int) -> int:
    return rows.index(row) if row in rows else -1


def _ratio(grid: object, branch: int, node: int) -> float:
    """Return the no-load voltage of `node` over that above it, 1 for lines."""
    y = grid.y_raw[:, branch]  # type: ignore[attr-defined]
    if grid.branch_kind[branch] == "line" or abs(y[3]) == 0 or abs(y[0]) == 0:  # type: ignore[attr-defined]
        return 1.0
    at_end = int(grid.rep[grid.branch_to[branch]]) == node  # type: ignore[attr-defined]
    return float(abs(y[2] / y[3]) if at_end else abs(y[1] / y[0]))
