import numpy as np
import pytest

from sims.core.errors import GridError
from sims.grid.curve import Curve

CURVES = (
    ((0.93, 1.0), (0.97, 0.0), (1.03, 0.0), (1.07, -1.0)),
    ((1.10, 0.0), (1.12, -1.0)),
    ((47.5, -1.0), (47.500001, 0.0), (50.2, 0.0), (51.499999, -0.52), (51.5, -1.0)),
)


@pytest.mark.parametrize("points", CURVES)
def test_is_linear_between_its_points_and_constant_beyond(points):
    x, y = zip(*points, strict=True)
    rng = np.random.default_rng(1)
    at = np.concatenate([rng.uniform(x[0] - 0.1, x[-1] + 0.1, 5000), x, np.nextafter(x, 99.0), np.nextafter(x, -99.0)])
    assert Curve("c", x, y)(at).tolist() == np.interp(at, x, y).tolist()


def test_keeps_the_shape_and_has_no_value_where_there_is_none():
    found = Curve("c", (0.0, 1.0), (0.0, 2.0))(np.array([[0.5, np.nan], [-np.inf, np.inf]]))
    assert found.shape == (2, 2)
    assert found[0, 0] == 1.0
    assert np.isnan(found[0, 1])
    assert found[1].tolist() == [0.0, 2.0]


@pytest.mark.parametrize(("x", "y"), [((1.0,), (0.0,)), ((0.0, 1.0), (0.0,)), ((1.0, 1.0), (0.0, 1.0))])
def test_refuses_what_is_no_characteristic(x, y):
    with pytest.raises(GridError, match="curve bad"):
        Curve("bad", x, y)
