"""S3's wire format, as far as a proxy has to know it: what a request asks for, and what an error looks like.

Source: the Amazon S3 API reference, "Operations" and "Error responses".
"""

from collections.abc import Mapping

_SCOPE = "/s3/aws4_request"  # of a signature
# By the method, and what the query names; the first that fits.
_OPERATIONS = [
    ("GET", "list-type", "ListObjectsV2"),
    ("GET", None, "GetObject"),
    ("HEAD", None, "HeadObject"),
    ("POST", "delete", "DeleteObjects"),
    ("POST", "uploads", "CreateMultipartUpload"),
    ("POST", "uploadId", "CompleteMultipartUpload"),
    ("PUT", "partNumber", "UploadPart"),
    ("PUT", None, "PutObject"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
]
OBJECTS = frozenset(name for _, _, name in _OPERATIONS)
_STATUS = {"SlowDown": 503, "InternalError": 500, "ConditionalRequestConflict": 409}


def operation(method: str, path: str, query: Mapping[str, str], authorization: str) -> str | None:
    """What the request asks of an object or several; None where it is not to S3, or about a bucket itself."""
    if _SCOPE not in authorization:
        return None
    bucket_alone = path.strip("/").count("/") == 0
    for of, named, name in _OPERATIONS:
        if method == of and (named in query if named else not bucket_alone):
            return name
    return None


def answer(code: str) -> tuple[int, bytes]:
    """The status and the body of an error."""
    return _STATUS[code], f"<Error><Code>{code}</Code><Message>Try again.</Message></Error>".encode()
