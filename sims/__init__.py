"""The simulators: core, grid engines, transmission, distribution, devices, communication."""
