"""Every guard of the production core, each taken away once; `./run proof dst_mutants` plays them.

Whoever adds a guard adds its mutant to the list of the side that keeps it; `simulated.txt` holds
those whose guard the simulation plays in the place of the runner, the store or the keys:

    == name: what the guard promises
    path/of/a/file.py
     a line that stays
    -a line of the guard
    +what stands there without it

`...` begins another place in the same file. Where a second guard stands behind the first, one
mutant takes both away: defence in depth.
"""

from bench.dst.mutants.change import LISTS, Change, Mutant, Stale, forget_ours, read

ALL = tuple(mutant for path in LISTS for mutant in read(path.read_text(encoding="utf-8")))

__all__ = ["ALL", "Change", "Mutant", "Stale", "forget_ours"]
