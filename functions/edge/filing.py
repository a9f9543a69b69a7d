"""An account's files, by their ids: found, and made ready once what was promised is there.

A file that is past its end is none, whether or not it was removed already; nor is another account's.
"""

import re
from dataclasses import replace

from functions.edge.exchange import Exchange
from penstock.batches.records import File, FileState
from penstock.clock import now_ms
from penstock.errors import NotFound

_ID = re.compile(r"file-[0-9A-Za-z]{1,64}")


async def found_file(exchange: Exchange, file_id: str, *, param: str | None = None) -> File:
    """The calling account's file, ready if its content is there. Raises NotFound that names `param`."""
    file = await _file(exchange, file_id)
    if file is None or file.over(now_ms()):
        raise NotFound(f"There is no file {file_id[:69]!r}.", param=param, code="file_not_found")
    return await _looked_at(exchange, file) if file.state is FileState.PENDING else file


async def _file(exchange: Exchange, file_id: str) -> File | None:
    book = await exchange.edge.storage.book()
    return await book.file(exchange.caller.account.id, file_id) if _ID.fullmatch(file_id) else None


async def _looked_at(exchange: Exchange, file: File) -> File:
    """A pending file; ready where its object has come, with the size that was promised."""
    book, objects = await exchange.edge.storage.book(), await exchange.edge.storage.objects()
    if await objects.size(file.address) != file.size:
        return file
    ready = replace(file, state=FileState.READY)
    await book.change_file(ready)  # where somebody else was faster, it is ready all the same
    return ready
