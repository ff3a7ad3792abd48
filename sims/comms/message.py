"""The one thing that travels between places."""

from sims.core.message import Message

__all__ = ["Message"]
