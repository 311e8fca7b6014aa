"""What `./run bench sequence` stands on: queues by a seed, a judge of its own, and the peers.

Of the product only the value `Queue` and the search that is measured are known here.
"""
