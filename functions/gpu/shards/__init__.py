"""Shards of a batch: worked off slice by slice, each line answered once, whoever dies meanwhile.

What was done is what the shard's log says (`penstock.batches.log`). Who works on it at present is told by the log too.
"""
