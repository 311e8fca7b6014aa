"""The hosts that streaming is measured beside: each installed on its own, driven from outside.

None of them is changed; where one cannot be had, it is left out and the table says so.
"""
