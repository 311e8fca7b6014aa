"""Proposals: a change that somebody hands to a design, and what its maintainer made of it.

It promises that an accepted proposal is a new release, whole or not at all, that names its author.
"""
