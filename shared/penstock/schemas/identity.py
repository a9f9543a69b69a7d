"""The names by which callers speak of accounts, keys and models: their forms, checked before any look-up."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from penstock.administration import is_account_id
from penstock.schemas.reading import wrong_at


def _account_id(text: str) -> str:
    if not is_account_id(text):
        raise wrong_at("", "is not an account's id: it begins as an API key does")
    return text


AccountId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), AfterValidator(_account_id)]
KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,32}$")]
ModelId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
