"""A city in one process: the production core under simulated time, network, disks and machines.

What it plays and what it does not: dispatch's `decide`, the agent's `reconciler`, `book`, `claims`
and `session` are the real ones; store, runner and drivers are played by `store`, `city` and
`shop`; `mischief` forges, misleads and lies. `mutants` takes every guard away once, to show that
the judge in `physical` sees it. Not played: a store and a shop that
forget the same days, and a lab retired while a restored store waits for its word (only people know
then what was begun); a computer that sleeps between the intent and the first byte.
"""
