"""What a request to S3 asks for, by its line and its signature."""

import pytest

from tests.servers.storage import OBJECTS, operation

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20270101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
KNOWN = [
    ("GET", "/bucket", {"list-type": "2"}, "ListObjectsV2"),
    ("GET", "/bucket/a/b", {}, "GetObject"),
    ("HEAD", "/bucket/a", {}, "HeadObject"),
    ("POST", "/bucket", {"delete": ""}, "DeleteObjects"),
    ("POST", "/bucket/a", {"uploads": ""}, "CreateMultipartUpload"),
    ("POST", "/bucket/a", {"uploadId": "1"}, "CompleteMultipartUpload"),
    ("PUT", "/bucket/a", {"partNumber": "1", "uploadId": "1"}, "UploadPart"),
    ("PUT", "/bucket/a", {}, "PutObject"),
    ("DELETE", "/bucket/a", {"uploadId": "1"}, "AbortMultipartUpload"),
]


@pytest.mark.parametrize(("method", "path", "query", "name"), KNOWN)
def test_an_operation_is_known_by_its_request(method: str, path: str, query: dict[str, str], name: str) -> None:
    assert operation(method, path, query, SIGNED) == name
    assert operation(method, path, query, SIGNED.replace("/s3/", "/sqs/")) is None


def test_all_operations_are_known() -> None:
    assert {name for *_, name in KNOWN} == OBJECTS


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET", "DELETE"])
def test_a_bucket_itself_is_no_object(method: str) -> None:
    assert operation(method, "/bucket", {}, SIGNED) is None
