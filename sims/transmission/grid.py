"""The transmission grid as a pandapower net: the case's own branches plus the interface transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sims.core.errors import GridError, nearest
from sims.grid.taps import TapData
from sims.transmission.case import MachineCase


@dataclass(frozen=True)
class InterfaceTransformer:
    """One connection between a transmission bus and a 110 kV busbar of a DSO.

    `v_set_pu` is what its tap changer holds on the 110 kV side; taps sit on the high-voltage side.
    """

    name: str
    bus: int
    sn_mva: float
    vn_lv_kv: float
    vk_percent: float
    vkr_percent: float
    tap_min: int
    tap_max: int
    tap_step_percent: float
    v_set_pu: float


def transmission_net(
    case: MachineCase, interfaces: Sequence[InterfaceTransformer], vn_kv: Sequence[float], voltage_level: float = 1.0
) -> Any:
    """Return the pandapower net of `case` with `interfaces`; loads are left to the simulator.

    Machines are generators with fixed voltage, the case's slack an external grid whose power the balance
    of the whole system decides. Bus i of the case is bus i of the net; the 110 kV busbars follow in the
    order of `interfaces`, and transformer k of ``net.trafo`` named after them is interface k.

    Parameters
    ----------
    voltage_level : float
        Factor on the machines' voltage set-points; a lightly loaded grid wants less than 1.

    Raises
    ------
    GridError
        An interface names a bus that does not exist.
    """
    import pandapower as pp  # takes seconds to load: only where a net is built

    net = pp.create_empty_network(name=case.name, f_hz=case.f0_hz, sn_mva=case.base_mva)
    pp.create_buses(net, case.n_bus, vn_kv=np.asarray(vn_kv), name=[str(b) for b in case.bus_ids])
    for row in range(case.branch_from.size):
        _branch(net, case, row)
    for bus in np.flatnonzero(case.shunt_pu).tolist():
        y = case.shunt_pu[bus] * case.base_mva
        pp.create_shunt(net, bus, q_mvar=-y.imag, p_mw=y.real)
    machines = case.machines
    for g, name in enumerate(machines.names):
        at, v = int(machines.bus[g]), voltage_level * float(machines.values["v_pu"][g])
        if g == case.slack:
            pp.create_ext_grid(net, at, vm_pu=v, va_degree=case.slack_deg, name=name)
        else:
            pp.create_gen(net, at, p_mw=float(machines.values["p_mw"][g]), vm_pu=v, name=name)
    for interface in interfaces:
        _transformer(net, case, interface)
    return net


def branch_elements(case: MachineCase, vn_kv: Sequence[float]) -> tuple[tuple[str, int], ...]:
    """Return kind and element number of each branch of `case` in the net that `transmission_net` makes."""
    counts = {"line": 0, "trafo": 0}
    found = []
    for i in range(case.branch_from.size):
        kind = "line" if _is_line(case, i, vn_kv[int(case.branch_from[i])], vn_kv[int(case.branch_to[i])]) else "trafo"
        found.append((kind, counts[kind]))
        counts[kind] += 1
    return tuple(found)


def _is_line(case: MachineCase, i: int, va_kv: float, vb_kv: float) -> bool:
    return va_kv == vb_kv and float(case.branch["tap"][i]) == 1.0 and float(case.branch["shift_deg"][i]) == 0.0


def tap_data(interfaces: Sequence[InterfaceTransformer]) -> TapData:
    """Return the interfaces' tap changers as arrays."""
    return TapData(
        np.array([i.tap_min for i in interfaces]), np.array([i.tap_max for i in interfaces]),
        np.array([i.tap_step_percent for i in interfaces]), np.ones(len(interfaces), bool),
    )


def _branch(net: Any, case: MachineCase, i: int) -> None:
    """Create branch i: a line, or where it changes the voltage level or has a tap, a transformer."""
    import pandapower as pp

    a, b = int(case.branch_from[i]), int(case.branch_to[i])
    r, x, bc, tap, shift = (float(case.branch[k][i]) for k in ("r_pu", "x_pu", "b_pu", "tap", "shift_deg"))
    va, vb = (float(net.bus.vn_kv.at[n]) for n in (a, b))
    if _is_line(case, i, va, vb):
        z = va**2 / case.base_mva
        pp.create_line_from_parameters(
            net, a, b, 1.0, r * z, x * z, bc / z / (2 * np.pi * case.f0_hz) * 1e9, max_i_ka=99999.0,
        )
        return
    if bc:
        raise GridError(f"{case.name}: branch {i} has both a tap and charging, which no line or transformer has")
    hv, lv, ratio = (a, b, tap) if va >= vb else (b, a, 1.0 / tap)
    scale = 1.0 if va >= vb else tap**2  # the case's impedance stands on the side without tap
    pp.create_transformer_from_parameters(
        net, hv, lv, sn_mva=case.base_mva, vn_hv_kv=float(net.bus.vn_kv.at[hv]) * ratio,
        vn_lv_kv=float(net.bus.vn_kv.at[lv]), vkr_percent=r * 100 * scale,
        vk_percent=float(np.hypot(r, x)) * 100 * scale, pfe_kw=0.0, i0_percent=0.0,
        shift_degree=shift if va >= vb else -shift,
    )


def _transformer(net: Any, case: MachineCase, interface: InterfaceTransformer) -> None:
    import pandapower as pp

    if interface.bus not in case.bus_ids:
        near = nearest(str(interface.bus), [str(b) for b in case.bus_ids])
        raise GridError(f"interface {interface.name}: {case.name} has no bus {interface.bus}{near}")
    hv = case.bus_ids.index(interface.bus)
    lv = pp.create_bus(net, vn_kv=interface.vn_lv_kv, name=interface.name)
    pp.create_transformer_from_parameters(
        net, hv, lv, sn_mva=interface.sn_mva, vn_hv_kv=float(net.bus.vn_kv.at[hv]),
        vn_lv_kv=interface.vn_lv_kv, vkr_percent=interface.vkr_percent, vk_percent=interface.vk_percent,
        pfe_kw=0.0, i0_percent=0.0, tap_side="hv", tap_neutral=0, tap_min=interface.tap_min,
        tap_max=interface.tap_max, tap_step_percent=interface.tap_step_percent, tap_pos=0,
        tap_changer_type="Ratio", name=interface.name,
    )
