"""What runs inside a container before the container does: the standard library alone."""
