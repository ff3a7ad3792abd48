"""Write a controller of your own, check it, and run a scenario with it: python examples/own_controller.py [MINUTES]."""

import subprocess
import sys
from pathlib import Path

import gridseam as gs

minutes = sys.argv[1] if len(sys.argv) > 1 else "60"

subprocess.run([sys.executable, "-m", "gridseam", "new", "controller", "halve.py"], check=True)
gs.check_controller("./halve.py:Halve")

Path("own.yaml").write_text(f"""\
extends: pv_noon
name: own
time: {{duration: {minutes} min}}
controllers:
  - {{use: ./halve.py:Halve, at: dms, duties: [manage_congestion], settings: {{share: 0.5}}}}
""")
with gs.run("own.yaml", architecture="centralized", stage=2) as run:
    acts = run.actions
    mine = int((acts.duty == "manage_congestion").sum())
    print(f"{mine} acts under manage_congestion, {run.kpis['acts_refused']:.0f} refused")
    print(f"curtailed {run.kpis['curtailed_mwh']:.3f} MWh")
