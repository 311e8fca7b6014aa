"""Makes: what was really made, by whom, inspected how, and the passport that tells it.

A make records one finished attempt of one job; an estimate never stands in it.
"""
