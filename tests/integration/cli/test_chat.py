"""`penstock chat` against answers from a script, and on a real terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.cli.data import write_private
from tests.integration.cli.command import PENSTOCK, ROOT, done, environment, here, penstock, refused
from tests.integration.cli.scripted import ENDLESS, Script, refusal, scripted

FULL: Script = [400, refusal("too long", "context_length_exceeded")]
PATIENCE = 60.0  # seconds


def test_one_answer_on_standard_output_and_nothing_else() -> None:
    with scripted(["Good ", "day."]) as api:
        result = penstock("chat", "--url", api.url, "--key", "k", "--system", "Be kind.", "Hello")
        assert (done(result), result.stderr) == ("Good day.\n", "")
        assert api.messages(0) == ["Be kind.", "Hello"]
        assert api.asked[0]["model"] == "parrot"
        assert api.keys == ["Bearer k"]


def test_a_question_from_standard_input() -> None:
    with scripted(["yes"]) as api:
        assert (
            done(penstock("chat", "--url", api.url, "--model", "m", typed="Is it?\n", PENSTOCK_API_KEY="k")) == "yes\n"
        )
        assert api.messages(0) == ["Is it?\n"]
        assert api.asked[0]["model"] == "m"
        assert "nothing to ask" in refused(penstock("chat", "--url", api.url, "--key", "k", typed=" "), exit_code=2)


def test_an_answer_cannot_drive_the_terminal() -> None:
    with scripted(["a\x1b]0;title\x07\tb\x9b31m\nc"]) as api:
        assert done(penstock("chat", "--url", api.url, "--key", "k", "x")) == "a]0;title\tb31m\nc\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([401, refusal("The key is\nunknown.")], "The key is unknown."),
        ([503, {"detail": "x"}], "HTTP 503 without OpenAI's error envelope"),
        ([{"choices": "x"}], "does not answer as OpenAI's API does"),
    ],
)
def test_an_error_is_one_line(script: list[str | dict[str, object] | int], said: str) -> None:
    with scripted(script) as api:
        assert said in refused(penstock("chat", "--url", api.url, "--key", "k", "x"))


@pytest.mark.parametrize("last", [refusal("The GPU process broke off."), {"choices": []}])
def test_an_answer_that_breaks_off_is_a_failure(last: dict[str, object]) -> None:
    with scripted(["half an ans", last]) as api:
        result = penstock("chat", "--url", api.url, "--key", "k", "x")
    assert result.returncode == 1
    assert result.stdout == "half an ans"
    assert "broke off" in result.stderr


def test_an_api_that_is_not_there_is_one_line() -> None:
    said = refused(penstock("chat", "--url", "http://127.0.0.1:1/v1", "--key", "k", "x"))
    assert said.startswith("cannot reach http://127.0.0.1:1/v1")


@pytest.mark.parametrize("url", ["nonsense", "http://[::", "http://", "http://a:b/", "ftp://127.0.0.1/"])
def test_what_is_no_url_is_one_line(url: str) -> None:
    assert "is not a URL" in refused(here("chat", "--url", url, "--key", "k", "x"), exit_code=2)


def test_the_kept_key_is_for_this_machine_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "key", "kept")
    with scripted(["yes"]) as api:
        assert done(penstock("chat", "--url", api.url, "--data", tmp_path, "x")) == "yes\n"
        assert api.keys == ["Bearer kept"]
    assert "no key" in refused(penstock("chat", "--url", "http://example.invalid/v1", "--data", tmp_path, "x"))
    assert "no key" in refused(penstock("chat", "--data", tmp_path / "other", "x"))


class Terminal:
    """`penstock chat` on a terminal of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", screen: int) -> None:
        self.process = process
        self._screen = screen
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def see(self, words: str) -> str:
        """Read until the words are there; what stood before them."""
        end = time.monotonic() + PATIENCE
        while words not in self._seen:
            assert self._read(end - time.monotonic()), f"waited in vain for {words!r} after {self._seen!r}"
        before, _, self._seen = self._seen.partition(words)
        return before

    def interrupt(self, words: str) -> None:
        """Press Ctrl-C at a prompt until the words are there.

        Between showing its prompt and waiting for input, Python's `input` is deaf to a signal.
        """
        end = time.monotonic() + PATIENCE
        while words not in self._seen:
            assert time.monotonic() < end, f"waited in vain for {words!r} after {self._seen!r}"
            self.process.send_signal(signal.SIGINT)
            while words not in self._seen and self._read(1):
                pass
        self.see(words)

    def _read(self, within: float) -> bool:
        """Read what there is, waiting a while for it; whether there was any."""
        if not select.select([self._screen], [], [], max(within, 0))[0]:
            return False
        text = os.read(self._screen, 4096).decode()
        self._seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)
        return True

    def ask(self, text: str) -> str:
        """Ask at the next prompt; what stood before it."""
        before = self.see("> ")
        self.type(f"{text}\n")
        return before


@contextmanager
def terminal(url: str, *options: str) -> Iterator[Terminal]:
    screen, inside = pty.openpty()
    command = [PENSTOCK, "chat", "--url", url, "--key", "k", *options]
    process = subprocess.Popen(
        command,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=ROOT,
        env=environment(TERM="xterm", COLUMNS="100"),
        start_new_session=True,
    )
    os.close(inside)
    try:
        yield Terminal(process, screen)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def test_a_conversation_remembers_and_ctrl_d_leaves() -> None:
    with scripted(["one"], ["two"]) as api, terminal(api.url, "--system", "s") as shell:
        shell.ask("a")
        shell.see("one\n7 + 3 tokens")
        shell.ask("")
        shell.ask("b")
        shell.see("two\n7 + 3 tokens")
        shell.see("> ")
        shell.type("\x04")
    assert api.messages(1) == ["s", "a", "one", "b"]


def test_ctrl_c_stops_the_answer_and_not_the_conversation() -> None:
    with scripted(["an answer without ", ENDLESS], ["end"]) as api, terminal(api.url) as shell:
        shell.ask("a")
        shell.see("without …")
        shell.process.send_signal(signal.SIGINT)
        shell.see("(stopped)")
        assert api.hung_up.wait(PATIENCE)
        shell.ask("b")
        shell.see("end\n")
        shell.see("> ")
        shell.interrupt("Ctrl-D or /exit leaves.")
        shell.ask("/exit")
    assert api.messages(1) == ["a", "an answer without …", "b"]


def test_an_error_leaves_the_conversation_as_it_was() -> None:
    with scripted(["one"], [503, refusal("[b]Try later.[/b]")], ["two"]) as api, terminal(api.url) as shell:
        shell.ask("a")
        shell.ask("lost")
        shell.see("[b]Try later.[/b]")
        shell.ask("b")
        shell.see("two")
        shell.ask("/exit")
    assert api.messages(2) == ["a", "one", "b"]


def test_when_the_context_is_full_the_oldest_turns_go_and_it_is_said_once() -> None:
    with scripted(["1"], ["2"], FULL, FULL, ["3"], FULL, ["4"]) as api, terminal(api.url, "--system", "s") as shell:
        shown = [shell.ask(text) for text in ("a", "b", "c", "d", "/exit")]
    assert ["The context is full" in answer for answer in shown] == [False, False, False, True, False]
    assert api.messages(4) == ["s", "c"]
    assert api.messages(6) == ["s", "d"]


def test_one_question_that_is_too_long_is_an_error() -> None:
    with scripted(FULL) as api:
        assert refused(penstock("chat", "--url", api.url, "--key", "k", "x")) == "too long"
