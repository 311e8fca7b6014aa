"""Does what the reconciler says: fetch, prepare, claim, start once, follow, recover.

The intent is synced before the machine may move and each step may run twice; it decides nothing
by itself, and what it cannot know it calls unknown.
"""

from fablab_agents.runner.people import NotNow
from fablab_agents.runner.runner import Runner, clock

__all__ = ["NotNow", "Runner", "clock"]
