"""`python -m orchestrator.cli` is `cosmolocal`."""

import sys

from orchestrator.cli import main

sys.exit(main())
