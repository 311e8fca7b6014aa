"""The wire between orchestrator and agent: topics, messages, tickets and the attempt's states.

It promises that both sides read the same bytes in the same way; it holds no keys, does no
cryptography and touches no network, clock or disk.
"""
