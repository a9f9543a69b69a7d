"""The contract's two ledgers, for what takes more than one call at a time to show."""

from tests.contract.conftest import ledger, ledger_url

__all__ = ["ledger", "ledger_url"]
