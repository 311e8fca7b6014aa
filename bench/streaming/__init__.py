"""What the figures of streaming are measured with: a board of our own, programs, runs and tables.

Nothing here is part of the product, and nothing of the product is imported by the board.
"""
