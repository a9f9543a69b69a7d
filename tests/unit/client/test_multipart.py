"""The form that an upload is, as a server's parser reads it."""

from email.parser import BytesParser
from email.policy import HTTP

from penstock.client.multipart import Multipart
from penstock.client.source import Source


def test_its_fields_and_its_file() -> None:
    form = Multipart({"purpose": "batch", "expires_after[seconds]": "3600"}, Source(("in.jsonl", b"a\r\nb\n--x")))
    body = b"".join(form)
    assert len(body) == form.size
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + form.content_type.encode() + b"\r\n\r\n" + body)
    parts = {
        part.get_param("name", header="content-disposition"): part for part in message.walk() if part is not message
    }
    assert parts["purpose"].get_payload(decode=True) == b"batch"
    assert parts["expires_after[seconds]"].get_payload(decode=True) == b"3600"
    assert parts["file"].get_filename() == "in.jsonl"
    assert parts["file"].get_payload(decode=True) == b"a\r\nb\n--x"


def test_a_name_cannot_leave_its_quotes() -> None:
    body = b"".join(Multipart({}, Source(('a"; name="b\r\n\r\n', b""))))
    assert b'name="file"; filename="a\\"; name=\\"b%0D%0A%0D%0A"\r\n' in body
    assert b'filename="\xc3\xa9.jsonl"' in b"".join(Multipart({}, Source(("é.jsonl", b""))))


def test_each_has_a_boundary_of_its_own() -> None:
    forms = [Multipart({}, Source(b"")) for _ in range(2)]
    assert forms[0].content_type != forms[1].content_type
