"""The headers that tell browsers, and caches on the way, what an answer must not be used for.

They are those that OWASP's REST security cheat sheet asks for on every answer of an API, and `Referrer-Policy`,
because a redirect's target holds a ticket: nothing may learn the address that a request went to. An answer that
says its own keeps it: `/docs` has a policy under which its style works, a stream the `no-cache` that proxies know.

`Strict-Transport-Security` goes out over https alone (over http, browsers ignore it) and speaks for this one host:
what else is under the same domain is not ours to decide. Answers that the app never sees, such as API Gateway's own
errors, are for whoever makes them.
"""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders

ALWAYS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    # Nothing here is a page: where a browser shows an answer all the same, it runs and loads nothing, in no frame.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OVER_HTTPS: Mapping[str, str] = {"Strict-Transport-Security": "max-age=31536000"}  # seconds, a year


def secure(headers: MutableHeaders, scheme: str) -> None:
    """Add those that the answer does not say itself."""
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)
    if scheme == "https":
        for name, value in OVER_HTTPS.items():
            headers.setdefault(name, value)
