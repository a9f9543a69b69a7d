"""Volumes, by Modal's client and its command line, and as containers see them."""

from pathlib import Path

import modal
import pytest

from tests.control_plane.running import ControlPlane
from tests.control_plane.volumes import BLOCK


@pytest.fixture
def volume(plane: ControlPlane, modal_client: modal.Client) -> modal.Volume:
    """A Volume, made where it is missing."""
    return modal.Volume.from_name("weights", create_if_missing=True, version=2, client=modal_client)


def test_what_is_put_is_listed_and_read(volume: modal.Volume, tmp_path: Path) -> None:
    large = b"\0" * 10 + bytes(range(256)) * (BLOCK // 256) + b"end" + b"\0" * 5  # more than a block, with zeros last
    (tmp_path / "small").write_text("small")
    (tmp_path / "large").write_bytes(large)
    with volume.batch_upload() as batch:
        batch.put_file(tmp_path / "small", "/folder/small")
        batch.put_file(tmp_path / "large", "/folder/large")
    assert {entry.path: entry.size for entry in volume.listdir("/", recursive=True)} == {
        "folder": volume.listdir("/")[0].size,
        "folder/large": len(large),
        "folder/small": 5,
    }
    assert b"".join(volume.read_file("folder/large")) == large


def test_what_is_there_is_not_overwritten_unless_forced(volume: modal.Volume, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    with volume.batch_upload(force=True) as batch:
        batch.put_file(tmp_path / "file", "file")
    with pytest.raises(FileExistsError), volume.batch_upload() as batch:
        batch.put_file(tmp_path / "file", "file")


def test_what_is_removed_is_not_found(volume: modal.Volume, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with volume.batch_upload() as batch:
        batch.put_file(tmp_path / "file", "gone/file")
    volume.remove_file("gone", recursive=True)
    with pytest.raises(FileNotFoundError):
        list(volume.read_file("gone/file"))


def test_no_path_leads_out_of_a_volume(volume: modal.Volume) -> None:
    with pytest.raises(modal.exception.InvalidError, match="leads out"):
        volume.listdir("../..")


def test_the_command_line_puts_lists_and_removes(plane: ControlPlane, volume: modal.Volume, tmp_path: Path) -> None:
    volume.hydrate()
    (tmp_path / "file").write_text("by hand")
    plane.modal("volume", "put", "weights", str(tmp_path / "file"), "/by-hand")
    assert "by-hand" in plane.modal("volume", "ls", "weights")
    plane.modal("volume", "get", "weights", "by-hand", str(tmp_path / "got"))
    assert (tmp_path / "got").read_text() == "by hand"
    plane.modal("volume", "rm", "weights", "by-hand")
    assert "by-hand" not in plane.modal("volume", "ls", "weights")


def test_a_container_sees_it_at_its_mount_path(
    sample: ControlPlane, volume: modal.Volume, modal_client: modal.Client, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("seen")
    with volume.batch_upload(force=True) as batch:
        batch.put_file(tmp_path / "file", "seen")
    about = modal.Cls.from_name("sample", "Worker", client=modal_client)().about.remote()
    assert "seen" in about["weights"]
    assert not Path("/weights").exists()  # on this machine itself


def test_a_secret_by_the_command_line(plane: ControlPlane, modal_client: modal.Client) -> None:
    plane.modal("secret", "create", "by-hand", "KEY=value")
    modal.Secret.from_name("by-hand", required_keys=["KEY"], client=modal_client).hydrate()
    with pytest.raises(modal.exception.NotFoundError, match="OTHER"):
        modal.Secret.from_name("by-hand", required_keys=["OTHER"], client=modal_client).hydrate()
