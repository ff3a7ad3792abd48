"""What a DER shows over Modbus: the SunSpec models 1, 103 and 701 to 704, filled for many devices at once.

The layout follows the SunSpec information models (IEEE 1547-2018 names them as one of its three
interfaces). Points that gridseam has no value for hold SunSpec's "not implemented".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Registers = NDArray[np.int64]

BASE = 40_000
"""First register of the map; it begins with the four letters SunS."""

_SIZE = {"u": 1, "i": 1, "e": 1, "f": 1, "p": 1, "U": 2, "I": 2, "B": 2, "A": 2, "Q": 4}
_EMPTY = {
    "u": (0xFFFF,), "i": (0x8000,), "e": (0xFFFF,), "f": (0x8000,), "p": (0x8000,), "U": (0xFFFF, 0xFFFF),
    "I": (0x8000, 0), "B": (0xFFFF, 0xFFFF), "A": (0, 0), "Q": (0xFFFF,) * 4,
}  # fmt: skip
"""Not implemented, by type: u, i, e, f of 16 bit (f a scale factor), p padding; U, I, B, A of 32; Q of 64."""

_PHASE = "W{0}:i VA{0}:i Var{0}:i PF{0}:u A{0}:i VL{0}L{1}:i VL{0}:i Inj{0}:Q Abs{0}:Q VarInj{0}:Q VarAbs{0}:Q "
_REVERT = "{0}RvrtTms:U {0}RvrtRem:U "

MODELS: Mapping[int, str] = {
    1: "Mn:s16 Md:s16 Opt:s8 Vr:s8 SN:s16 DA:u Pad:p",
    103: "A:u AphA:u AphB:u AphC:u A_SF:f PPVphAB:u PPVphBC:u PPVphCA:u PhVphA:u PhVphB:u PhVphC:u V_SF:f W:i W_SF:f "
    "Hz:u Hz_SF:f VA:i VA_SF:f VAr:i VAr_SF:f PF:i PF_SF:f WH:A WH_SF:f DCA:u DCA_SF:f DCV:u DCV_SF:f DCW:i DCW_SF:f "
    "TmpCab:i TmpSnk:i TmpTrns:i TmpOt:i Tmp_SF:f St:e StVnd:e Evt1:B Evt2:B Vnd1:B Vnd2:B Vnd3:B Vnd4:B",
    701: "ACType:e St:e InvSt:e ConnSt:e Alrm:B DERMode:B W:i VA:i Var:i PF:u A:i LLV:i LNV:i Hz:U Inj:Q Abs:Q "
    "VarInj:Q VarAbs:Q TmpAmb:i TmpCab:i TmpSnk:i TmpTrns:i TmpSw:i TmpOt:i "
    + _PHASE.format(1, 2) + _PHASE.format(2, 3) + _PHASE.format(3, 1)
    + "ThrotPct:u ThrotSrc:B A_SF:f V_SF:f Hz_SF:f W_SF:f PF_SF:f VA_SF:f Var_SF:f TotWh_SF:f TotVarh_SF:f Tmp_SF:f "
    "MnAlrmInfo:s32",
    702: "WMaxRtg:u WOvrExtRtg:u WOvrExtRtgPF:u WUndExtRtg:u WUndExtRtgPF:u VAMaxRtg:u VarMaxInjRtg:u VarMaxAbsRtg:u "
    "WChaRteMaxRtg:u WDisChaRteMaxRtg:u VAChaRteMaxRtg:u VADisChaRteMaxRtg:u VNomRtg:u VMaxRtg:u VMinRtg:u AMaxRtg:u "
    "PFOvrExtRtg:u PFUndExtRtg:u ReactSusceptRtg:u NorOpCatRtg:e AbnOpCatRtg:e CtrlModes:B IntIslandCatRtg:e "
    "WMax:u WMaxOvrExt:u WOvrExtPF:u WMaxUndExt:u WUndExtPF:u VAMax:u VarMaxInj:u VarMaxAbs:u WChaRteMax:u "
    "WDisChaRteMax:u VAChaRteMax:u VADisChaRteMax:u VNom:u VMax:u VMin:u AMax:u PFOvrExt:u PFUndExt:u IntIslandCat:e "
    "W_SF:f PF_SF:f VA_SF:f Var_SF:f V_SF:f A_SF:f S_SF:f",
    703: "ES:e ESVHi:u ESVLo:u ESHzHi:U ESHzLo:U ESDlyTms:U ESRndTms:U ESRmpTms:U ESDlyRemTms:U V_SF:f Hz_SF:f",
    704: "PFWInjEna:e PFWInjRvrtEna:e " + _REVERT.format("PFWInj") + "PFWAbsEna:e PFWAbsRvrtEna:e "
    + _REVERT.format("PFWAbs") + "WMaxLimPctEna:e WMaxLimPct:u WMaxLimPctRvrt:u WMaxLimPctRvrtEna:e "
    + _REVERT.format("WMaxLimPct") + "WSetEna:e WSetMod:e WSet:I WSetRvrt:I WSetPct:i WSetPctRvrt:i WSetRvrtEna:e "
    + _REVERT.format("WSet") + "VarSetEna:e VarSetMod:e VarSetPri:e VarSet:I VarSetRvrt:I VarSetPct:i "
    "VarSetPctRvrt:i VarSetRvrtEna:e " + _REVERT.format("VarSet") + "WRmp:u WRmpRef:e VarRmp:u AntiIslEna:e "
    "PF_SF:f WMaxLim_SF:f WSet_SF:f WSetPct_SF:f VarSet_SF:f VarSetPct_SF:f "
    "InjPF:u InjExt:e InjRvrtPF:u InjRvrtExt:e AbsPF:u AbsExt:e AbsRvrtPF:u AbsRvrtExt:e",
}  # fmt: skip
"""Points of each model in order, without the two of its head; ``s16`` is a text of 16 registers."""


def _layout() -> tuple[dict[tuple[int, str], int], list[int]]:
    place: dict[tuple[int, str], int] = {}
    row = [0x5375, 0x6E53]
    for model, text in MODELS.items():
        row += [model, 0]
        head = len(row)
        for point in text.split():
            name, kind = point.split(":")
            place[model, name] = len(row)
            row += [0] * int(kind[1:]) if kind[0] == "s" else _EMPTY[kind]
        row[head - 1] = len(row) - head
    return place, [*row, 0xFFFF, 0]


PLACE, _ROW = _layout()
"""(model, point) -> register, counted from `BASE`."""

LENGTH = len(_ROW)
PCT_SF = -1
_GROUPS = ("WMaxLimPct", "WSet", "VarSet")
_WIDE = frozenset(
    PLACE[704, f"{group}{what}"] for group in _GROUPS for what in ("RvrtTms", "")
    if what or group != "WMaxLimPct"
)  # fmt: skip
WRITABLE: Mapping[int, str] = {
    at: group
    for group in _GROUPS
    for name in (f"{group}Ena", group, f"{group}Mod", f"{group}Pct", f"{group}RvrtTms")
    if (704, name) in PLACE
    for at in range(PLACE[704, name], PLACE[704, name] + (2 if PLACE[704, name] in _WIDE else 1))
}
"""Register -> control group that it belongs to; all others are read only."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a write asks of a device: a quantity, its value (infinite: taken back), how long it holds [ms]."""

    quantity: str
    value: float
    ttl_ms: int


class DerMap:
    """The registers of many devices, one row each.

    Parameters
    ----------
    name, kind : sequence of str
    p_rated_mw, s_rated_mva, v_nom_kv : ndarray, [device]

    Attributes
    ----------
    registers : ndarray of int, [device, register]
        Read by the server at any time; a whole row is replaced at once.
    """

    def __init__(
        self, name: Sequence[str], kind: Sequence[str], p_rated_mw: Floats, s_rated_mva: Floats, v_nom_kv: Floats
    ) -> None:
        count = len(name)
        self.p_rated_mw = np.asarray(p_rated_mw, float)
        self._v_nom = np.asarray(v_nom_kv, float) * 1e3
        self.registers: Registers = np.tile(np.array(_ROW, np.int64), (count, 1))
        most = np.maximum(np.maximum(self.p_rated_mw, s_rated_mva) * 1e6, 1.0)
        self._w_sf = np.ceil(np.log10(np.maximum(most * 1.5 / 32_767, 1.0))).astype(int)
        self._v_sf = np.where(self._v_nom * 1.3 * 10 < 32_767, -1, 0)
        for row in range(count):
            self._text(row, "Mn", "gridseam")
            self._text(row, "Md", str(kind[row]))
            self._text(row, "SN", str(name[row]))
        for model, names in ((103, ("W", "VA", "VAr")), (701, ("W", "VA", "Var")), (702, ("W", "VA", "Var"))):
            for point in names:
                self._put(model, f"{point}_SF", self._w_sf)
            self._put(model, "V_SF", self._v_sf)
        self._put(103, "Hz_SF", -2)
        self._put(701, "Hz_SF", -3)
        rated_w, rated_va = self.p_rated_mw * 1e6 / 10.0**self._w_sf, np.asarray(s_rated_mva) * 1e6 / 10.0**self._w_sf
        for point, value in (("WMaxRtg", rated_w), ("WMax", rated_w), ("VAMaxRtg", rated_va), ("VAMax", rated_va)):
            self._put(702, point, value)
        for point in ("VNomRtg", "VNom"):
            self._put(702, point, self._v_nom / 10.0**self._v_sf)
        self._put_wide(702, "CtrlModes", np.full(count, 0b111))
        self._put(703, "ES", 1)
        for point in ("WMaxLim_SF", "WSetPct_SF", "VarSetPct_SF"):
            self._put(704, point, PCT_SF)
        for point in ("WSet_SF", "VarSet_SF"):
            self._put(704, point, 0)
        for group in _GROUPS:
            self._put(704, f"{group}Ena", 0)
            self._put_wide(704, f"{group}RvrtTms", np.zeros(count))

    def update(self, p_mw: Floats, q_mvar: Floats, v_pu: Floats, f_hz: Floats, p_avail_mw: Floats) -> None:
        """Show what the devices do; a voltage that is NaN or below 0.1 pu is a device without supply."""
        lit = np.nan_to_num(v_pu) > 0.1
        p, q = np.nan_to_num(p_mw) * 1e6, np.nan_to_num(q_mvar) * 1e6
        scale = 10.0**self._w_sf
        volt = np.nan_to_num(v_pu) * self._v_nom / 10.0**self._v_sf
        for model, var in ((103, "VAr"), (701, "Var")):
            self._put(model, "W", p / scale)
            self._put(model, var, q / scale)
            self._put(model, "VA", np.hypot(p, q) / scale)
        self._put(701, "LLV", volt)
        for point in ("PPVphAB", "PPVphBC", "PPVphCA"):
            self._put(103, point, volt)
        for point in ("PhVphA", "PhVphB", "PhVphC"):
            self._put(103, point, volt / np.sqrt(3))
        self._put(701, "LNV", volt / np.sqrt(3))
        self._put(103, "Hz", f_hz * 100)
        self._put_wide(701, "Hz", np.rint(f_hz * 1000))
        held = (p_avail_mw > 0) & (p / 1e6 < 0.99 * p_avail_mw)
        self._put(103, "St", np.where(lit, np.where(held, 5, 4), 1))
        self._put(701, "ACType", 3)
        self._put(701, "St", np.where(lit, 2, 1))
        self._put(701, "InvSt", np.where(lit, np.where(held, 5, 4), 1))
        self._put(701, "ConnSt", np.where(lit, 2, 1))

    def written(self, row: int, at: int, values: Sequence[int]) -> tuple[list[Wish], Registers] | None:
        """Return what writing `values` from register `at` on would ask of device `row`, and its registers after.

        None where a register is read only or half a number of 32 bits is written.

        Raises
        ------
        ValueError
            A value that no device can follow: a percentage above 100, a mode that is not offered.
        """
        places = range(at, at + len(values))
        if any(place not in WRITABLE for place in places):
            return None
        if any((wide in places) != (wide + 1 in places) for wide in _WIDE):
            return None
        after = self.registers[row].copy()
        after[at : at + len(values)] = values
        touched = dict.fromkeys(WRITABLE[place] for place in places)
        rated, before = float(self.p_rated_mw[row]), self.registers[row]
        enable = {group: PLACE[704, f"{group}Ena"] for group in touched}
        return [self._wish(group, after, rated) for group, k in enable.items() if after[k] or before[k]], after

    @staticmethod
    def _wish(group: str, after: Registers, rated_mw: float) -> Wish:
        quantity = {"WMaxLimPct": "p_max_mw", "WSet": "p_set_mw", "VarSet": "q_set_mvar"}[group]
        enabled = int(after[PLACE[704, f"{group}Ena"]])
        if enabled not in (0, 1):
            raise ValueError(f"{group}Ena is 0 or 1, not {enabled}")
        if not enabled:
            return Wish(quantity, np.inf, 0)
        ttl_ms = 1000 * _wide(after, PLACE[704, f"{group}RvrtTms"])
        if group == "WMaxLimPct":
            share = int(after[PLACE[704, "WMaxLimPct"]]) * 10.0**PCT_SF / 100
            if share > 1:
                raise ValueError(f"WMaxLimPct is 0 to 1000 (100 %), not {after[PLACE[704, 'WMaxLimPct']]}")
            return Wish(quantity, share * rated_mw, ttl_ms)
        mode, percent, plain = int(after[PLACE[704, f"{group}Mod"]]), 1, 2 if group == "WSet" else 4
        if mode == plain:
            if _wide(after, PLACE[704, group]) == 0x8000_0000:
                raise ValueError(f"{group} was never given")
            return Wish(quantity, _signed(_wide(after, PLACE[704, group]), 32) / 1e6, ttl_ms)
        if mode == percent:
            share = _signed(int(after[PLACE[704, f"{group}Pct"]]), 16) * 10.0**PCT_SF / 100
            if abs(share) > 1:
                raise ValueError(f"{group}Pct is -1000 to 1000 (100 %)")
            return Wish(quantity, share * rated_mw, ttl_ms)
        raise ValueError(f"{group}Mod is {percent} (percent of the rating) or {plain} (plain), not {mode}")

    def _put(self, model: int, point: str, values: Floats | NDArray[np.int64] | float) -> None:
        number = np.clip(np.rint(values), -32_768, 65_535).astype(np.int64)
        self.registers[:, PLACE[model, point]] = number & 0xFFFF

    def _put_wide(self, model: int, point: str, values: Floats | NDArray[np.int64]) -> None:
        number, at = np.asarray(values).astype(np.int64) & 0xFFFF_FFFF, PLACE[model, point]
        self.registers[:, at], self.registers[:, at + 1] = number >> 16, number & 0xFFFF

    def _text(self, row: int, point: str, text: str) -> None:
        data = text.encode("ascii", "replace")[:32].ljust(32, b"\0")
        at = PLACE[1, point]
        self.registers[row, at : at + 16] = np.frombuffer(data, ">u2")


def _wide(registers: Registers, at: int) -> int:
    return int(registers[at]) << 16 | int(registers[at + 1])


def _signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> (bits - 1) else number
