"""Neighbouring agents, no single decider."""
