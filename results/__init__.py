"""The run file, key figures, comparison, report."""
