"""Who may call, and what: decided from what the ledger says of a key, and raised in the API's words.

The edge and direct calls ask here, so that both refuse alike. Where the caller comes from, for how long what
was looked up is believed, and how guesses are counted is theirs; a reservation is checked by the ledger again.
"""

from penstock import keys
from penstock.errors import ApiError, Forbidden, Unauthenticated, Unavailable
from penstock.keys import ApiKey
from penstock.ledger.records import Caller, Switch

OFF_FOR = 60  # seconds, after which to ask again

_NOBODY = "0" * 64  # no secret has this digest


def read_key(text: str) -> ApiKey:
    """The key as it was sent. Raises Unauthenticated where it is malformed, which no look-up could change."""
    key = keys.parse(text)
    if key is None:
        raise Unauthenticated("The API key is malformed. A Penstock key begins with 'ps_'.")
    return key


def opens(key: ApiKey, caller: Caller | None) -> bool:
    """Whether the secret is the caller's. Of an unknown id (None) the comparison takes as long."""
    return key.matches(caller.key.digest if caller else _NOBODY)


def incorrect_key() -> Unauthenticated:
    """The refusal of a key that opens nothing; it does not say whether the id is known."""
    return Unauthenticated("Incorrect API key.")


def require_entitled(caller: Caller, now: int) -> None:
    """Raises Unauthenticated for a key that has ended, Forbidden for an account that is off."""
    if not caller.key.usable(now):
        raise _ended()
    if not caller.account.enabled:
        raise Forbidden("This account is switched off.", code="account_disabled")


def denied(caller: Caller | None, now: int) -> ApiError:
    """Why the ledger denied a reservation to a caller (AccessDenied), of whom this is what it says now."""
    try:
        if caller is not None:
            require_entitled(caller, now)
    except ApiError as error:
        return error
    return _ended()


def require_route(caller: Caller, group: str) -> None:
    """Raises Forbidden where the key may not call this group of routes."""
    if not caller.key.may_call(group):
        raise Forbidden(f"This API key may not call the routes of the group {group!r}.", code="route_not_allowed")


def require_model(caller: Caller, name: str) -> None:
    """Raises Forbidden where the key may not use the model of this name (no alias)."""
    if not caller.key.may_use(name):
        raise Forbidden(f"This API key may not use the model {name!r}.", param="model")


def require_switched_on(switch: Switch) -> None:
    """The switch over everybody, which an operator may turn off. Raises Unavailable."""
    if not switch.on:
        reason = f": {switch.reason}" if switch.reason else "."
        raise Unavailable(f"The service is switched off{reason}", retry_after=OFF_FOR, code="service_off")


def _ended() -> Unauthenticated:
    return Unauthenticated("This API key was revoked or has expired.")
