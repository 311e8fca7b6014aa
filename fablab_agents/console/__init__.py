"""The small local page for the person at the machines, and the same as JSON.

It works with the network down, and no page of another site can press one of its buttons.
"""

from fablab_agents.console.site import Site

__all__ = ["Site"]
