"""The admin routes: accounts, keys, usage and the switch, for a key whose scope names them.

What they do is `penstock.administration`, which the command line calls too.
"""

from functions.edge.exchange import Route
from functions.edge.routes.admin import accounts, keys, switch, usage

ROUTES: tuple[Route, ...] = (
    accounts.LIST,
    accounts.CREATE,
    accounts.RETRIEVE,
    accounts.CHANGE,
    keys.LIST,
    keys.CREATE,
    keys.RETRIEVE,
    keys.CHANGE,
    keys.ROTATE,
    keys.REVOKE,
    usage.USAGE,
    switch.RETRIEVE,
    switch.SET,
)

__all__ = ["ROUTES"]
