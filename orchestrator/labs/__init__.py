"""The labs of the city: who they are, which agent speaks for them, how their machines stand.

A machine is what its shop last said of it; nothing here decides what it makes.
"""
