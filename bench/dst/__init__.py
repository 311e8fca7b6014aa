"""A city in one process: the production core under simulated time, network, disks and machines.

What it plays and what it does not: dispatch's `decide`, the agent's `reconciler`, `book`, `claims`
and `session` are the real ones; store, runner and drivers are played by `store`, `city` and
`shop`; `mischief` forges, misleads and lies. `mutants` takes every guard away once, to show that
the judge in `physical` sees it. Not played yet: a journal put back to an older image, a cloned
computer, a store put back to yesterday.
"""
