"""Measurements and long proofs, and what their command lines share."""

import argparse


def at_least_one(said: str) -> int:
    """For argparse: a proof that tries nothing has proven nothing."""
    if not said.isdecimal() or int(said) < 1:
        raise argparse.ArgumentTypeError(f"{said!r} is no number from 1 on")
    return int(said)
