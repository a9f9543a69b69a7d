"""The ledger, measured: how fast on each store, in how many requests, and at which size of an account's item."""
