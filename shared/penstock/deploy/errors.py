"""What goes wrong with a workspace of Modal; each message is one line."""


class DeployError(Exception):
    """Modal refuses, or cannot be asked."""


class NotThere(DeployError):
    """What was asked for does not exist in the workspace."""
