"""What `penstock batch run` is made of: a batch on this machine, without a server."""
