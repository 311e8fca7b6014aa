"""Whatever is changed, replayed, forged or misdirected: tried on the production path, one by one.

`shop` is that path from raw bytes to a start, `city` the real signer and its forger; each other
file tries one class of words or bytes and says how many were accepted.
"""
