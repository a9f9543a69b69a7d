from pathlib import Path

from penstock.cli.serving.log_file import LogFile


def log_with(tmp_path: Path, *lines: str) -> LogFile:
    log = LogFile(tmp_path / "gpu.log")
    log.path.write_text("".join(f"{line}\n" for line in lines))
    return log


def test_our_own_error_is_found_above_what_uvicorn_says_last(tmp_path: Path) -> None:
    log = log_with(
        tmp_path,
        '{"event": "starting", "level": "info"}',
        '{"event": "model_unreadable", "level": "error", "error": "no weights in /m"}',
        "",
        "ERROR:    Application startup failed. Exiting.",
    )
    assert log.last_error(0) == ("model_unreadable", "no weights in /m")


def test_a_tracebacks_last_line_is_the_error(tmp_path: Path) -> None:
    log = log_with(tmp_path, "Traceback (most recent call last):", '  File "x"', "ValueError: too much")
    assert log.last_error(0) == (None, "ValueError: too much")


def test_a_refused_request_is_not_why_a_process_died(tmp_path: Path) -> None:
    log = log_with(tmp_path, '{"event": "request", "level": "info", "error": "invalid_api_key"}')
    assert log.last_error(0) == (None, "")


def test_what_an_earlier_life_said_does_not_count(tmp_path: Path) -> None:
    log = log_with(tmp_path, "ValueError: then")
    assert log.last_error(log.size()) == (None, "")


def test_a_log_emptied_meanwhile_is_read_from_its_start(tmp_path: Path) -> None:
    assert log_with(tmp_path, "ValueError: now").last_error(1 << 30) == (None, "ValueError: now")


def test_a_large_log_begins_anew_under_its_writer_and_the_old_one_is_kept(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "gpu.log")
    assert log.size() == 0
    with log.path.open("ab", buffering=0) as writer:
        writer.write(b"x" * (16 << 20))
        log.bound()
        assert log.size() == 16 << 20
        writer.write(b"y")
        log.bound()
        writer.write(b"z")
    assert log.path.read_bytes() == b"z"
    assert (tmp_path / "gpu.log.1").read_bytes().endswith(b"xy")


def test_the_last_error_of_one_kind_stands_above_others(tmp_path: Path) -> None:
    log = log_with(
        tmp_path,
        '{"event": "model_unreadable", "level": "error", "error": "no weights in /m"}',
        '{"event": "workers_broken", "level": "error", "error": "it cannot be loaded"}',
        "something else",
    )
    assert log.last_error(0, "model_unreadable") == ("model_unreadable", "no weights in /m")
    assert log.last_error(0, "other") == (None, "")
