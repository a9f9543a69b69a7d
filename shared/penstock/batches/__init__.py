"""Files and batches: what they are, where they are kept, and how far each has come.

A file is an object with a record of its own; a batch turns one file of requests into two of answers. What happens
to them is `functions.batch`'s business; who may see them, the edge's.
"""
