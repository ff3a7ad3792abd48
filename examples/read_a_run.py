"""Run one pairing of a small scenario and look at it with arrays: python examples/read_a_run.py [MINUTES]."""

import sys

import gridseam as gs

minutes = sys.argv[1] if len(sys.argv) > 1 else "60"
scenario = gs.load("pv_noon", overrides={"time.duration": f"{minutes} min"})

with gs.run(scenario, architecture="centralized", stage=2) as run:
    highest = run["bus"].vm_pu.max("bus")
    print(f"highest voltage {float(highest.max()):.3f} pu at {str(highest.time[int(highest.argmax())].values)[:16]}")
    acts = run.actions
    for duty in sorted(set(acts.duty.values.tolist())):
        print(f"{duty}: {int((acts.duty == duty).sum())} acts")
    print(f"curtailed {run.kpis['curtailed_mwh']:.3f} MWh, {run.kpis['messages']:.0f} messages")
