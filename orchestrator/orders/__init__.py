"""Orders and the jobs they ask for: what a maker agreed to, and how far each part has come.

It promises that a job moves only along its state table; it never chooses a lab or a machine.
"""
