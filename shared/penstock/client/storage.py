"""Content in storage, at URLs that the API has signed: who has such a URL needs no key, and no key goes there.

What is asked and what a refusal becomes stands here; the callers send it.
"""

import re

import httpx2

from penstock.client.call import Upload
from penstock.client.errors import StatusError, UnexpectedAnswer, status_error
from penstock.client.http import Body, headers_of, origin, timeout_of
from penstock.client.sent import request_of

_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")  # of S3's error, which is XML


def put_request(upload: Upload) -> httpx2.Request:
    """The request that puts the content there. Raises UnexpectedAnswer where that is no place."""
    try:
        url = httpx2.URL(upload.url)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UnexpectedAnswer("the API sends this upload to a place that is no storage")
    headers = headers_of("*/*") | dict(upload.headers)
    return request_of("PUT", url, headers, upload.content, timeout_of(upload.timeout))


def storage_refusal(response: httpx2.Response, body: Body) -> StatusError:
    """The error of an answer of storage, whose body is not the API's."""
    found = _CODE.search(body.read())
    said = f": {found[1].decode()}" if found else ""
    message = f"the storage at {origin(response.request)} refused with HTTP {response.status_code}{said}"
    return status_error(response.status_code, {"error": {"message": message}}, response.headers)
