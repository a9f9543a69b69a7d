"""Penstock: an OpenAI-compatible inference API of one's own.

What `pip install penstock` gives: the wire format, the ledger protocol and the command line. Importing
this package imports none of its parts, so that it costs nothing where only one of them is needed.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
