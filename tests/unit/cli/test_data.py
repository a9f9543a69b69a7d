import stat
from pathlib import Path

import pytest

from penstock.cli.data import DataDirectory, write_private
from penstock.cli.failure import Failure
from penstock.ticket import TicketKeys


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_and_its_keys_are_the_owners_alone(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "new" / "data")
    with data.owned():
        data.ticket_keys()
        data.keep_key("a key")
    assert mode(data.path) == 0o700
    assert mode(data.path / "ticket.key") == mode(data.key_file) == 0o600


def test_the_ticket_keys_are_made_once_and_are_good(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    keys = data.ticket_keys()
    assert data.ticket_keys() == keys
    TicketKeys.parse(keys)
    (tmp_path / "other").mkdir()
    assert DataDirectory(tmp_path / "other").ticket_keys() != keys


def test_one_serve_at_a_time(tmp_path: Path) -> None:
    with (
        DataDirectory(tmp_path / "data").owned(),
        pytest.raises(Failure, match="another `penstock serve` is using"),
        DataDirectory(tmp_path / "data").owned(),
    ):
        pass
    with DataDirectory(tmp_path / "data").owned():
        pass


def test_a_directory_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    tmp_path.chmod(0o755)
    with pytest.raises(Failure, match="holds other files"), DataDirectory(tmp_path).owned():
        pass
    assert mode(tmp_path) == 0o755
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(Failure, match="cannot be used"), DataDirectory(tmp_path / "data").owned():
        pass


def test_no_key_is_kept_at_first(tmp_path: Path) -> None:
    assert DataDirectory(tmp_path).kept_key() is None


def test_a_private_file_is_replaced_even_where_a_draft_was_left(tmp_path: Path) -> None:
    file = tmp_path / "f"
    (tmp_path / "f.new").write_text("half")
    write_private(file, "one")
    write_private(file, "two")
    assert file.read_text() == "two\n"
    assert mode(file) == 0o600
