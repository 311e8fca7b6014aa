"""A workshop in a folder: simulated machines that speak real firmware, and their metrology.
It never imports anything of the product, so that it can judge it.
"""
