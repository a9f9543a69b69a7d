"""Origins as they are written in a setting."""

import pytest

from penstock.origins import MAX_ORIGINS, parse_origins


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", []),
        (" ", []),
        ("*", ["*"]),
        ("https://app.example", ["https://app.example"]),
        ("https://a.example, http://localhost:5173", ["https://a.example", "http://localhost:5173"]),
        ("http://[::1]:8080", ["http://[::1]:8080"]),
        ("capacitor://localhost", ["capacitor://localhost"]),
        ("https://app.example:80", ["https://app.example:80"]),
    ],
)
def test_what_browsers_send_is_an_origin(text: str, origins: list[str]) -> None:
    assert parse_origins(text) == origins


@pytest.mark.parametrize(
    "wrong",
    [
        "app.example",
        "https://",
        "https://app.example/",
        "https://app.example/path",
        "https://App.example",
        "https://*.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://user@app.example",
        "https://app.exa\nmple",
        "null",
        "",
    ],
)
def test_anything_else_is_named_by_its_place_and_not_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"^origins: number 2 is not ") as caught:
        parse_origins(f"https://a.example,{wrong},https://b.example")
    assert "app.example" not in str(caught.value)


def test_there_are_only_so_many() -> None:
    assert len(parse_origins(",".join(["https://a.example"] * MAX_ORIGINS))) == MAX_ORIGINS
    with pytest.raises(ValueError, match="more than"):
        parse_origins(",".join(["https://a.example"] * (MAX_ORIGINS + 1)))
