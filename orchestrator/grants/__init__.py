"""Grants: what a licensor permits beyond a design's licence, to whom, and what it was used for.

It stands before orders and planning, so that they can ask it; nothing is permitted that is not
written down here.
"""
