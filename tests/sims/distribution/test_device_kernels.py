import numpy as np

from sims.distribution import device_kernels as kernels
from sims.grid.curve import Curve
from sims.grid.injections import CurveSet

CURVES = [
    Curve("qu", (0.93, 0.97, 1.03, 1.07), (1.0, 0.0, 0.0, -1.0)),
    Curve("pu", (1.1, 1.12), (0.0, -1.0)),
    Curve("pf", (47.5, 47.500001, 50.2, 51.499999, 51.5), (-1.0, 0.0, 0.0, -0.52, -1.0)),
]


def test_a_characteristic_is_what_interpolation_makes_of_its_points():
    curves = CurveSet.of(CURVES)
    feet = kernels.feet(curves.x, curves.slope, curves.start)
    for number, curve in enumerate(CURVES):
        ends = curve.x[0] - 1.0, curve.x[-1] + 9.0  # beyond what pads the shorter ones, too
        at = np.concatenate([curve.x, np.linspace(*ends, 301), np.nextafter(curve.x, 0.0), np.nextafter(curve.x, 99.0)])
        found = [kernels.curve_value(curves.x, curves.slope, feet, number, u) for u in at]
        np.testing.assert_allclose(found, np.interp(at, curve.x, curve.y), atol=1e-8)
