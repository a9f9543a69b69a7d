"""Packaging: a zip of each function on AWS Lambda, made from a lock with hashes and from this checkout.

    lock -> wheelhouse -> tree -> bytecode -> archive -> report

The same input gives the same bytes: wherever the checkout is, whoever builds, at whatever time, umask, time zone
or locale. The input is the sources, the lock, the target, the interpreter that compiles (to its patch version) and
the zlib of the interpreter that packs. What is in a zip is what its entry modules import, and no more.

It deploys nothing, and makes no lock: infra/locks/compile does.
"""
