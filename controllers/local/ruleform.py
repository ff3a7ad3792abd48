"""The forms that laws of connection rules can take, and what is wrong with numbers given for one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sims.core.errors import nearest

Fault = tuple[str, str]
"""Field, what is wrong with it."""


@dataclass(frozen=True)
class Form:
    """Keys of a law with their checks; which of them are frequencies, and which of those stages of a trip."""

    keys: Mapping[str, Callable[[Any], str]]
    needs: tuple[str, ...] = ()
    frequencies: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    rated_frequency: bool = False


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _not_negative(value: Any) -> str:
    return "" if _number(value) and value >= 0 else "must be a number of 0 or more"


def _positive(value: Any) -> str:
    return "" if _number(value) and value > 0 else "must be a number above 0"


def _share(value: Any) -> str:
    return "" if _number(value) and 0 <= value <= 1 else "must lie in 0 to 1"


def _power_factor(value: Any) -> str:
    return "" if _number(value) and 0 < value <= 1 else "must lie in (0, 1]"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _band(value: Any) -> str:
    good = isinstance(value, list) and len(value) == 2 and all(map(_number, value)) and value[0] < value[1]
    return "" if good else "must be two rising numbers"


def _one_of(*words: str) -> Callable[[Any], str]:
    return lambda value: "" if value in words else f"must be {' or '.join(words)}"


def _pairs(value: Any) -> str:
    good = isinstance(value, list) and len(value) >= 1
    good = good and all(isinstance(p, list) and len(p) == 2 and all(map(_number, p)) for p in value)
    return "" if good else "must be a list of pairs of numbers"


def _falling(value: Any) -> str:
    """Refuse a characteristic that is not monotone: it could hunt, or have several working points."""
    wrong = _pairs(value) or ("" if len(value) >= 2 else "needs at least two points")
    if wrong:
        return wrong
    for (x, y), (x_next, y_next) in itertools.pairwise(value):
        if x_next <= x:
            return f"does not rise from {x:g} to {x_next:g}"
        if y_next > y:
            return f"is not monotone: it must fall, and rises from {y:g} to {y_next:g} at {x_next:g}"
    return ""


def _stages(value: Any) -> str:
    wrong = _pairs(value)
    return wrong or ("" if all(t >= 0 for _, t in value) else "has a clearing time below 0")


_LAG = {"tau_s": _not_negative, "response_s": _positive}
_HZ = ("start_over_hz", "start_under_hz", "trip_high_hz", "trip_low_hz", "back_low_hz", "back_high_hz")

FORMS: dict[str, Form] = {
    "cap": Form({"share": _share}),
    "cosphi": Form({"end": _power_factor, "start_share": _share, "small_mva": _not_negative}),
    "watt_var": Form({"points": _falling, "ratio": _share, **_LAG}, ("points", "ratio")),
    "volt_var": Form(
        {"points": _falling, "ratio": _share, "of": _one_of("p", "s"), "small_mva": _not_negative, **_LAG}, ("points",)
    ),
    "volt_watt": Form({"points": _falling, "of": _one_of("momentary", "rated"), **_LAG}, ("points",)),
    "frozen_droop": Form(
        {
            **dict.fromkeys(_HZ, _positive), "gradient_per_hz": _positive, "back_v_pu": _band, "trip_v_pu": _band,
            "wait_s": _not_negative, "release_s": _not_negative, "return_share_per_s": _positive, "tau_s": _positive,
        },
        frequencies=_HZ,
    ),
    "droop": Form(
        {"deadband_hz": _not_negative, "droop": _positive, "response_s": _positive, "trips": _flag},
        rated_frequency=True,
    ),
    "storage_droop": Form(
        {"droop": _positive, "edge_hz": _not_negative, "tau_s": _positive}, rated_frequency=True
    ),
    "containment": Form(
        {
            "deadband_hz": _not_negative, "full_hz": _positive, "full_s": _not_negative, "lag_s": _not_negative,
            "reserve_share": _share, "limited_droop": _not_negative,
        },
        rated_frequency=True,
    ),
    "trips": Form(
        {
            **dict.fromkeys(("under_v", "over_v", "under_f", "over_f"), _stages), "enter_v_pu": _band,
            "enter_f_hz": _band, **dict.fromkeys(("delay_s", "ramp_s", "cease_s", "restore_s"), _not_negative),
            "cease_v_pu": _band,
        },
        frequencies=("under_f", "over_f", "enter_f_hz"), stages=("under_f", "over_f"),
    ),
}


def fault(given: Mapping[str, Any]) -> list[Fault]:
    """Return everything wrong with the numbers of one law, by field."""
    form = FORMS.get(given.get("form", ""))
    if form is None:
        name = str(given.get("form", ""))
        return [("form", f"'{name}' is not one of {' | '.join(FORMS)}{nearest(name, FORMS)}")]
    found: list[Fault] = []
    for key, value in given.items():
        if key == "form":
            continue
        check = form.keys.get(key)
        what = check(value) if check else f"is no number of this form{nearest(key, form.keys)}"
        if what:
            found.append((key, what))
    found += [(key, "is missing") for key in form.needs if key not in given]
    return found or list(_together(given))


def _together(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what no single number can show: an order of frequencies that cannot be."""
    order = ("trip_low_hz", "start_under_hz", "start_over_hz", "trip_high_hz")
    for low, high in itertools.pairwise([key for key in order if key in given]):
        if given[low] >= given[high]:
            yield high, f"{given[high]:g} Hz must lie above {low}, {given[low]:g} Hz"
    if "full_hz" in given and given.get("deadband_hz", 0.0) >= given["full_hz"]:
        yield "deadband_hz", f"{given['deadband_hz']:g} Hz must lie below full_hz, {given['full_hz']:g} Hz"
