"""The embedded ledger: one SQLite file, for any number of processes on one machine."""

from penstock.ledger.sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
