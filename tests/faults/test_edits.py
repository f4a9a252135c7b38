"""A project is edited and built again with the same store: a rewrite is linked only where it was judged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gccllm.store import Entry
from tests.kit.endpoint import serving
from tests.kit.project import MAIN, PRINTED, Project

GOOD = Path(__file__).with_name("total_fast.s").read_text()
SOURCE = """\
#include "types.h"
long total(number *a, int n) { long s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
"""
TYPES = "typedef const int number;\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, prefix: Path) -> Project:
    """A project whose type comes from a header, built once with a rewrite."""
    directory = tmp_path_factory.mktemp("edits")
    for name, text in {"total.c": SOURCE, "types.h": TYPES, "main.c": MAIN}.items():
        (directory / name).write_text(text)
    (directory / "tmp").mkdir()
    project = Project(prefix, directory)
    with serving(lambda exchange: exchange.say(f"```asm\n{GOOD}```")) as fake:
        project.builds_with_a_rewrite(GCCLLM_ENDPOINT=fake.url, GCCLLM_SAMPLES="1", GCCLLM_REFINE="0")
    return project


@pytest.fixture
def project(built: Project) -> Iterator[Project]:
    """In its own place, for the files of a unit's answer are where they were; put back afterwards."""
    yield built
    (built.directory / "types.h").write_text(TYPES)
    shutil.rmtree(built.directory / "cache", ignore_errors=True)
    (built.directory / "gccllm.toml").unlink(missing_ok=True)


def test_the_same_project_keeps_its_rewrite(project: Project) -> None:
    assert project.builds_quietly(GCCLLM_MODE="cached") != project.gccs_own()
    assert project.prints() == PRINTED


EDITS = {
    "unsigned": "typedef const unsigned number;\n",
    "a type of its own": "typedef const enum { NONE, SOME } number;\n",
    "a volatile": "typedef const volatile int number;\n",
}


@pytest.mark.parametrize("mode", ["inline", "cached"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_of_a_type_takes_the_rewrite_away(project: Project, edit: str, mode: str) -> None:
    (project.directory / "types.h").write_text(edit)
    assert project.builds_quietly(GCCLLM_MODE=mode, GCCLLM_BUDGET="0") == project.gccs_own()
    (project.directory / "types.h").write_text(TYPES)
    assert project.builds_quietly(GCCLLM_MODE=mode, GCCLLM_BUDGET="0") != project.gccs_own()


@pytest.mark.parametrize("forged", ["key", "key and situation"])
def test_an_entry_of_another_situation_is_refused_under_any_name(project: Project, forged: str) -> None:
    """A pull request may put any body under any key, and write any situation beside it."""
    accepted, nothing = "accepted", "nothing"
    found = {e.outcome: e for e in map(read, (project.store / "rewrites").glob("*.entry")) if e.outcome == accepted}
    (project.directory / "types.h").write_text(EDITS["unsigned"])
    # What would the key be now? A search that finds nothing leaves an entry that says so.
    project.builds_quietly(GCCLLM_MODEL="/nowhere.gguf", GCCLLM_NEGATIVE_DAYS="1")
    found |= {e.outcome: e for e in map(read, (project.store / "rewrites").glob("*.entry")) if e.outcome == nothing}
    change = {"key": found[nothing].key}
    if forged == "key and situation":
        change |= {"situation": found[nothing].situation}
    place = project.directory / "cache" / "rewrites"
    place.mkdir(parents=True)
    (project.directory / "gccllm.toml").write_text("")
    (place / f"{found[nothing].key}.entry").write_bytes(found[accepted].model_copy(update=change).dump())
    assert project.builds_quietly(GCCLLM_MODE="cached") == project.gccs_own()
    refused = [event["detail"] for event in project.events() if event.get("reason") == "entry_refused"]
    assert refused[-1].startswith("it was made in another situation")
    assert refused[-1].endswith("of its tests") == (forged == "key and situation")


def read(path: Path) -> Entry:
    return Entry.load(path.read_bytes())
