"""Origins: whose pages may call from a browser, as they are written in a setting.

An origin is `scheme://host` or `scheme://host:port`, as browsers send it (RFC 6454, section 6.2): anything else
would never match. Not only of http: the pages of a packaged app have a scheme of their own.
"""

import re

MAX_ORIGINS = 100

_ORIGIN = re.compile(
    r"(?!http://[^/]*:80$|https://[^/]*:443$)"  # browsers leave out a scheme's own port
    r"[a-z][a-z0-9+.-]{0,31}://([a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?"
)


def parse_origins(text: str) -> list[str]:
    """Origins separated by commas, `*` for any; an empty text has none. Raises ValueError."""
    origins = [entry.strip() for entry in text.split(",")] if text.strip() else []
    if len(origins) > MAX_ORIGINS:
        raise ValueError(f"origins: more than {MAX_ORIGINS}")
    for place, origin in enumerate(origins, start=1):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"origins: number {place} is not * or scheme://host[:port], in lower case and without the scheme's "
                "own port"
            )
    return origins
