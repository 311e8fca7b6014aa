"""Recalls: what was withdrawn, why, and until when; it decides what may not be made any more.

It stands before orders and planning, so that they can ask it; which units it meets, makes know.
"""
