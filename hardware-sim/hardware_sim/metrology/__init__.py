"""Promises program conformance: what part these bytes would make of an ideal material.
Never a measurement of a real part, and never a word of trust in a program's comments.
"""
