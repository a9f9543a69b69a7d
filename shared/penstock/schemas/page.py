"""Parts of lists, as OpenAI's lists are: how many are asked for, and what is said beside the records."""

from typing import Literal

from pydantic import BaseModel, BeforeValidator

from penstock.schemas.reading import wrong_at


class Page(BaseModel):
    """A part of a list, in its order."""

    object: Literal["list"] = "list"
    first_id: str | None
    last_id: str | None
    has_more: bool


def count_to(most: int) -> BeforeValidator:
    """Of a number in a query, from 1 to `most`."""

    def read(text: object) -> object:
        if isinstance(text, str) and not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))):
            raise wrong_at("", f"must be a whole number from 1 to {most}")
        return int(text) if isinstance(text, str) else text

    return BeforeValidator(read)
