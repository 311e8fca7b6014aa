"""Turns untrusted files into plain geometry in millimetres and judges what can be made of it.

It never keeps anything of a file but its geometry, and never trusts a file's name.
"""
