"""A city in a folder: the real orchestrator, real agents and simulated machines, on one computer.

It starts what a user would start, by the same commands, and leaves nothing behind; it shows
nothing that was not made.
"""
