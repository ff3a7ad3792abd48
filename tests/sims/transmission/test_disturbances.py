import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.transmission.disturbances import (
    Condition,
    GeneratorTrip,
    Islanding,
    LineSwitch,
    LoadRamp,
    LoadStep,
)


@pytest.fixture
def kundur(case_of):
    return case_of("kundur")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (LoadStep(0, 77, 1.0), "there is no bus 77 (did you mean 7?)"),
        (LoadRamp(0, 7, 1.0, 0), "a ramp must last longer than 0 ms"),
        (LoadRamp(0, 78, 1.0, 100), "there is no bus 78"),
        (GeneratorTrip(0, "G11"), "there is no machine 'G11' (did you mean G1?)"),
        (LineSwitch(0, 5, 9), "there is no branch 5-9"),
        (LineSwitch(0, 7, 8, circuit=3), "there is no circuit 3 of branch 7-8"),
        (LineSwitch(0, 7, 8, circuit=-1), "there is no circuit -1 of branch 7-8"),
        (LineSwitch(0, 7, 80), "there is no bus 80"),
        (Islanding(0, "area 3"), "there is no cell 'area 3' (did you mean area"),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest(event, text, kundur):
    assert event.fault(kundur).startswith(text)


def test_circuits_are_counted_in_the_order_of_the_case(kundur):
    assert LineSwitch(0, 8, 7).branches(kundur) == [4, 5, 6]
    assert LineSwitch(0, 7, 8, circuit=1).branches(kundur) == [5]


def test_a_ramp_ends_where_it_began(kundur):
    condition = Condition.normal(kundur)
    follow = LoadRamp(500, 7, 30.0, 2000, 6.0).apply(kundur, condition)
    assert condition.ramp_mva_per_s[6] == pytest.approx(15.0 + 3.0j)
    assert follow[0].t_ms == 2500
    follow[0].apply(kundur, condition)
    assert np.all(condition.ramp_mva_per_s == 0)


def test_islanding_opens_every_tie(kundur):
    condition = Condition.normal(kundur)
    Islanding(0, "area 2 (G3,G4)").apply(kundur, condition)
    assert np.flatnonzero(~condition.closed).tolist() == [4, 5, 6]


def test_refused_when_scheduled(start):
    dynamics = start("kundur", end_ms=10_000)
    with pytest.raises(ModelError, match=r"LoadStep at 10\.000 s lies outside the run, which ends at 10\.000 s"):
        dynamics.schedule(LoadStep(10_000, 7, 1.0))
    with pytest.raises(ModelError, match=r"GeneratorTrip at 1\.000 s: there is no machine 'X'"):
        dynamics.schedule(GeneratorTrip(1000, "X"))
    dynamics.advance(500)
    with pytest.raises(ModelError, match=r"lies in the past"):
        dynamics.schedule(LoadStep(499, 7, 1.0))
