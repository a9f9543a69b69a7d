"""The servers that tests start on this machine, and what stands between them and their clients."""
