"""Quotes and plans: open designs and jobs on one side, labs and their machines on the other.

It translates to a scheduling problem and back; the choosing is done in `scheduling`.
"""
