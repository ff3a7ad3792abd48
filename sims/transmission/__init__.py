"""The transmission system: grid, machines, balance, disturbances."""
