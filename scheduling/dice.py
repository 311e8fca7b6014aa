"""Chance from a seed: the same numbers everywhere, compiled or not.

It promises the same draws to the same seed; it never asks the computer for any.
"""

import numpy as np

from scheduling.cells import Ints
from scheduling.compiled import compiled


def dice_for(seed: int) -> Ints:
    return np.array([seed % 2147483561 + 1, seed * 7919 % 2147483397 + 1], np.int64)


@compiled
def drawn(dice: Ints, below: int) -> int:
    """A number from 0 up to, without, `below` (L'Ecuyer, CACM 31, 1988: two small generators)."""
    dice[0] = dice[0] * 40014 % 2147483563
    dice[1] = dice[1] * 40692 % 2147483399
    return (dice[0] + dice[1]) % below


@compiled
def forbearance(dice: Ints) -> float:
    """On average one; twice as much is half as likely, as with Metropolis, without a logarithm."""
    halvings = 0
    while drawn(dice, 2) == 1:
        halvings += 1
    return (halvings + drawn(dice, 1000) / 1000.0) * 0.67
