"""On whose behalf a direct call is made: by its API key, or by the one that the deployment lets pay for its own."""

from penstock.entitlement import incorrect_key, opens, read_key
from penstock.errors import Unauthenticated
from penstock.ledger import Caller, Ledger


async def caller_of(ledger: Ledger, api_key: str | None, service_key_id: str | None) -> Caller:
    """Whose key this is. Raises Unauthenticated, LedgerUnavailable; whether the key may still do anything is not asked.

    Without a key it is the service key's: whoever gets here holds the platform's own token.
    """
    if api_key is not None:
        key = read_key(api_key)
        caller = await ledger.caller(key.id)
        if not opens(key, caller) or caller is None:
            raise incorrect_key()
        return caller
    caller = await ledger.caller(service_key_id) if service_key_id is not None else None
    if caller is None:
        raise Unauthenticated(
            "No API key. Pass one as `api_key`, or let the deployment name a service key.", code="missing_api_key"
        )
    return caller
