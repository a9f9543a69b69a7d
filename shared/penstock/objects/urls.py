"""The URL of object storage."""

import re

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_objects_url(url: str) -> str:
    """The URL, where it names a store that `open_objects` can open. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    if scheme == "s3" and _BUCKET.fullmatch(rest):
        return url
    if scheme == "file" and rest.startswith("/") and rest != "/":
        return url
    raise ValueError(f"this {scheme[:32]!r} URL names no object storage; use s3://BUCKET or file:///FOLDER")
