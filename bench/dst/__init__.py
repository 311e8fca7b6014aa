"""A city in one process: the production core under simulated time, network, disks and machines.

What it plays and what it does not: dispatch's `decide`, the agent's `reconciler`, `book`, `claims`
and `session` are the real ones; store, runner and drivers are played by `store`, `city` and
`shop`; `mischief` forges, misleads and lies. `mutants` takes every guard away once, to show that
the judge sees it: he looks at what machines physically did (`physical`), and in the end (`story`)
whether each job came to an end or a person, whether what moved a machine is called never started,
and whether network and labs soon knew the same once all was well. Not played: a store and a shop
that forget the same days, and a lab retired while a restored store waits for its word (only people
know then what was begun); a computer that sleeps between the intent and the first byte.
"""
