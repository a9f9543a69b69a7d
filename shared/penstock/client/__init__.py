"""What a client of Penstock's API builds on."""
