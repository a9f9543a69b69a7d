"""`/v1/files`: what batches are made of and come to, as OpenAI's. Files are the account's, whichever key asks."""

from functions.edge.exchange import Route
from functions.edge.routes.files import content, resource, upload

ROUTES: tuple[Route, ...] = (upload.CREATE, resource.LIST, resource.RETRIEVE, content.CONTENT, resource.DELETE)

__all__ = ["ROUTES"]
