"""The one error of packaging."""


class PackagingFailed(Exception):
    """Nothing was packaged; the message says why, in one line."""
