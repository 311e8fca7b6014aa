"""`python -m fablab_agents.cli` is `cosmolocal-agent`."""

import sys

from fablab_agents.cli import main

if __name__ == "__main__":
    sys.exit(main())
