"""Attempts: offered to a lab's agent, granted once, followed to their end.

All that must not be lost is in the database; the broker only rings the bell.
"""
