"""Functions of the distribution management system, on what the operator believes."""
