"""Hold two pairings of the voltage scenario against each other: python examples/compare_pairings.py [MINUTES]."""

import sys

import gridseam as gs

minutes = sys.argv[1] if len(sys.argv) > 1 else "60"
scenario = gs.load("pv_noon", overrides={"time.duration": f"{minutes} min"})

study = gs.compare(scenario, architecture=["local", "centralized"], stage=[2], baseline=("local", 2))
cube = study.comparison.dataset()
for name in ("voltage_violation_bus_h", "curtailed_mwh", "tap_operations", "messages"):
    figures = cube[name].sel(stage=2).mean("seed")
    told = ", ".join(f"{a} {float(figures.sel(architecture=a)):.3g}" for a in figures.architecture.values)
    print(f"{name} ({cube[name].units}): {told}")
print(study.report)
