"""What gets deployed: one folder, one deployable."""
