"""`GET /openapi.json`, and `GET /docs`: the same for people.

The page is whole in itself: it loads nothing from anywhere, so that it also works in a closed network.
"""

from collections.abc import Iterable
from html import escape
from string import Template
from typing import Any

import orjson
from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.openapi import document
from penstock.schemas.parameters import CHAT, COMPLETION, EMBEDDING, Parameters

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Penstock API</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; }
p.lead { margin: .3rem 0 0; opacity: .75; }
code, pre { font: .88em/1.5 ui-monospace, monospace; }
pre { padding: 1rem 1.1rem; border: 1px solid var(--line); border-radius: .5rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .5rem .9rem .5rem 0; border-top: 1px solid var(--line); }
th { white-space: nowrap; font-weight: 600; } .dim { opacity: .65; }
</style>
</head>
<body>
<h1>Penstock</h1>
<p class="lead">An OpenAI-compatible inference API. Version $version. <a href="openapi.json">openapi.json</a></p>
<h2>Call it</h2>
<pre>curl $base/v1/chat/completions \\
  -H "Authorization: Bearer $$PENSTOCK_API_KEY" -H "Content-Type: application/json" \\
  -d '{"model": "$model", "messages": [{"role": "user", "content": "Hello!"}], "stream": true}'</pre>
<p>Any OpenAI client works: set its base URL to <code>$base/v1</code> and its key to yours.</p>
<h2>Routes</h2>
<table>$routes</table>
<h2>Parameters</h2>
$parameters
<p class="dim">What is refused gets a 400 that names it; values that ask for nothing, such as <code>tools: []</code>,
are accepted. Extensions are not OpenAI's: its clients send them as <code>extra_body</code>.</p>
<h2>Errors</h2>
<p>Every error has OpenAI's envelope, <code>{"error": {"message", "type", "param", "code"}}</code>. 429 and 503
say in <code>Retry-After</code> when to come again; 402 means that the month's budget, in dollars or tokens, is
used up. 402 and 429 hold the numbers of the limit in <code>error.limit</code>. Every answer carries our
<code>x-request-id</code>. Sent twice with the same <code>Idempotency-Key</code>, a request is answered and billed
once.</p>
</body>
</html>
""")
_OF_ROUTES = {"/v1/chat/completions": CHAT, "/v1/completions": COMPLETION, "/v1/embeddings": EMBEDDING}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


async def _docs(exchange: Exchange) -> Response:
    openapi = document(exchange.request.app)
    page = _PAGE.substitute(
        version=escape(openapi["info"]["version"]),
        base="$PENSTOCK_URL",
        model=escape(exchange.edge.models.models[0].name),
        routes="".join(_rows(openapi)),
        parameters="".join(_parameters(path, known) for path, known in _OF_ROUTES.items()),
    )
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


def _rows(openapi: dict[str, Any]) -> list[str]:
    return [
        f"<tr><th><code>{method.upper()} {escape(path)}</code></th><td>{escape(operation['summary'])}"
        f"{'' if 'security' in operation else ' <span class=dim>No key needed.</span>'}</td></tr>"
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    ]


def _parameters(path: str, known: Parameters) -> str:
    """The table of one route; a class without a name has no row."""
    classes = {
        "honoured": known.honoured,
        "extensions": known.extensions,
        "no effect": known.no_ops,
        "refused": known.refused,
    }
    rows = [f"<tr><th>{title}</th><td>{_names(names)}</td></tr>" for title, names in classes.items() if names]
    return f"<p><code>{path}</code></p>\n<table>{''.join(rows)}</table>\n"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" for name in sorted(names))


async def _openapi(exchange: Exchange) -> Response:
    return Response(orjson.dumps(document(exchange.request.app)), media_type="application/json")


_PUBLIC = "Documentation; it says nothing of this deployment but the models' names."
DOCS = Route(
    "GET",
    "/docs",
    _docs,
    public=_PUBLIC,
    summary="This page.",
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
OPENAPI = Route(
    "GET",
    "/openapi.json",
    _openapi,
    public=_PUBLIC,
    summary="The OpenAPI description.",
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
