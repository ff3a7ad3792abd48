"""Compiled grids and the power-flow engines that both grid simulators use."""
