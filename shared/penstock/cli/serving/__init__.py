"""What `penstock serve` is made of. Nothing is imported here: a served process starts through this package."""
