"""`/v1/batches`: batches of the account's files, as OpenAI's. What happens to them is for `functions.batch`."""

from functions.edge.exchange import Route
from functions.edge.routes.batches import create, resource

ROUTES: tuple[Route, ...] = (create.CREATE, resource.LIST, resource.RETRIEVE, resource.CANCEL)

__all__ = ["ROUTES"]
