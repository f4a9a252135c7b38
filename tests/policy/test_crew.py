"""Workers that raise, die or are told to end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from gccllm.commands.crew import Crew, Done, Lost, Said, Say


def work(word: str, say: Say) -> str:
    if word == "raise":
        raise ValueError("no such word")
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word.startswith("/"):
        try:
            say("begun")
            time.sleep(1000)
        finally:
            Path(word).touch()
    say(f"{word} is heard")
    return word.upper()


def news(crew: Crew[str]) -> list[object]:
    """All there is, until every task has ended."""
    heard: list[object] = []
    while crew.at_work:
        heard += crew.news(1.0)
    return heard


def test_tasks_are_heard_of_and_end_with_a_result() -> None:
    with Crew[str](work, 1) as crew:
        crew.give("one", "word")
        assert not crew.has_room
        assert news(crew) == [Said("one", "word is heard"), Done("one", "WORD")]
        assert crew.has_room


def test_what_raises_or_dies_is_lost_and_the_others_go_on() -> None:
    with Crew[str](work, 3) as crew:
        for word in ("raise", "die", "word"):
            crew.give(word, word)
        ended = {one.task: one for one in news(crew) if isinstance(one, Done | Lost)}
        assert ended["die"] == Lost("die", "its worker was ended by SIGKILL")
        assert isinstance(ended["raise"], Lost)
        assert ended["raise"].why.startswith("ValueError: no such word (test_crew.py:")
        assert ended["word"] == Done("word", "WORD")
        crew.give("die", "again")
        assert news(crew)[-1] == Done("die", "AGAIN")


def test_a_worker_that_is_told_to_end_tidies_up(tmp_path: Path) -> None:
    with Crew[str](work, 1) as crew:
        crew.give("long", str(tmp_path / "tidy"))
        while not list(crew.news(1.0)):
            pass
    assert (tmp_path / "tidy").exists()
