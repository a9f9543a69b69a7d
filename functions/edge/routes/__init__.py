"""The edge's resources, one file each."""
