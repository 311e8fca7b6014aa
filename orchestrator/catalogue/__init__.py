"""The catalogue: published releases, their files and pictures.

It promises that a release is published whole or not at all and never changes afterwards.
"""
