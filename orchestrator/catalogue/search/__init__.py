"""Search: what is listed, found by words and by every field, the same on both engines.

Its rows are written in the transaction that publishes; they can be made again at any time.
"""
