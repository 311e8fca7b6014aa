"""Crash points of the real processes: each system call that matters, and what is there after it."""
