"""Devices on the distribution grids: loads, PV, wind, storage, EVs, with their profiles."""
