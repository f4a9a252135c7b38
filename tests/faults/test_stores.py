"""Stores that are damaged, full, forged, missing or fought over; processes killed at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gccllm.store import Entry
from tests.kit.endpoint import serving
from tests.kit.project import PRINTED, Project, generous

GOOD = Path(__file__).with_name("total_fast.s").read_text()


@pytest.fixture
def model() -> Iterator[dict[str, str]]:
    """Environment of a build whose model answers well."""
    with serving(lambda exchange: exchange.say(f"```asm\n{GOOD}```")) as fake:
        yield {"GCCLLM_ENDPOINT": fake.url, "GCCLLM_SAMPLES": "1", "GCCLLM_REFINE": "0"}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, prefix: Path) -> Project:
    """A project with a full store and its object; tests copy it, since working it out takes seconds."""
    from tests.kit.project import MAIN, SOURCE

    directory = tmp_path_factory.mktemp("tuned")
    (directory / "total.c").write_text(SOURCE)
    (directory / "main.c").write_text(MAIN)
    (directory / "tmp").mkdir()
    project = Project(prefix, directory)
    with serving(lambda exchange: exchange.say(f"```asm\n{GOOD}```")) as fake:
        project.builds_with_a_rewrite(GCCLLM_ENDPOINT=fake.url, GCCLLM_SAMPLES="1", GCCLLM_REFINE="0")
    return project


@pytest.fixture
def full(tuned: Project, tmp_path: Path) -> Project:
    place = tmp_path / "copy"
    shutil.copytree(tuned.directory, place)
    return Project(tuned.prefix, place)


def entry_path(project: Project) -> Path:
    (path,) = (project.store / "rewrites").glob("*.entry")
    return path


def without_unit_answers(project: Project) -> Project:
    shutil.rmtree(project.store / "units")
    return project


def test_with_a_full_store_and_no_model_the_object_is_the_same(full: Project) -> None:
    want = full.object()
    assert full.builds_quietly(GCCLLM_MODEL="/nowhere.gguf") == want
    assert without_unit_answers(full).builds_quietly(GCCLLM_MODEL="/nowhere.gguf") == want
    assert without_unit_answers(full).builds_quietly(GCCLLM_MODE="cached", GCCLLM_STRICT="1") == want


@pytest.mark.parametrize("damage", ["truncated", "bit", "schema", "empty"])
def test_a_damaged_entry_gives_gccs_object_and_is_named(full: Project, damage: str) -> None:
    path = entry_path(without_unit_answers(full))
    raw = path.read_bytes()
    at = random.Random(7).randrange(200, len(raw))
    path.write_bytes(
        {
            "truncated": raw[: len(raw) // 2],
            "bit": raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :],
            "schema": raw.replace(b"gccllm-entry 2", b"gccllm-entry 1", 1),
            "empty": b"",
        }[damage]
    )
    assert full.builds_quietly(GCCLLM_MODE="cached") == full.gccs_own()
    assert ("entry_version" if damage == "schema" else "entry_corrupt") in full.reasons()


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-7], lambda raw: raw[:-20] + b"X" + raw[-19:], lambda raw: b"junk"]
)
def test_a_damaged_unit_answer_is_made_again(full: Project, damage) -> None:  # type: ignore[no-untyped-def]
    want = full.object()
    (path,) = [p for p in (full.store / "units").rglob("*") if p.is_file()]
    path.write_bytes(damage(path.read_bytes()))
    assert full.builds_quietly(GCCLLM_MODE="cached") == want


def test_a_forged_project_entry_is_refused_by_its_own_tests(full: Project) -> None:
    """Right checksum, right key, wrong code: what came with a project is not believed."""
    entry = Entry.load(entry_path(full).read_bytes())
    forged = entry.model_copy(update={"body": "\tmovl\t%esi, %eax\n\tret\n", "isa_level": 0})
    shutil.rmtree(full.store)
    (full.directory / "gccllm.toml").write_text("")
    (full.directory / "cache" / "rewrites").mkdir(parents=True)
    (full.directory / "cache" / "rewrites" / f"{entry.key}.entry").write_bytes(forged.dump())
    assert full.builds_quietly(GCCLLM_MODE="cached") == full.gccs_own()
    assert "entry_refused" in full.reasons()


def test_a_right_project_entry_is_used_after_its_checks(full: Project) -> None:
    want, path = full.object(), entry_path(full)
    (full.directory / "gccllm.toml").write_text("")
    (full.directory / "cache" / "rewrites").mkdir(parents=True)
    shutil.move(path, full.directory / "cache" / "rewrites" / path.name)
    shutil.rmtree(full.store)
    assert full.builds_quietly(GCCLLM_MODE="cached", GCCLLM_STRICT="1") == want
    assert list((full.store / "vouched").iterdir())


def test_strict_fails_where_nothing_is_decided(project: Project) -> None:
    done = project.build(GCCLLM_MODE="cached", GCCLLM_STRICT="1")
    assert done.returncode == 1
    assert "total" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (project.directory / "total.o").exists()


@pytest.mark.parametrize("place", ["file", "missing-root"])
def test_a_store_that_cannot_be_written_costs_the_memory_not_the_build(
    project: Project, model: dict[str, str], place: str
) -> None:
    (project.directory / "file").write_text("")
    store = {"file": str(project.directory / "file"), "missing-root": "/proc/no-such-place/store"}[place]
    project.builds_quietly(**model, GCCLLM_CACHE_DIR=store, GCCLLM_BUDGET="60")
    assert project.prints() == PRINTED
    assert project.leftovers() == []


def test_no_home_is_no_reason_to_fail(project: Project) -> None:
    env = {k: v for k, v in project.environment().items() if k not in ("HOME", "GCCLLM_CACHE_DIR", "XDG_CACHE_HOME")}
    env |= {"GCCLLM_MODE": "cached", "XDG_CACHE_HOME": ""}
    done = subprocess.run(project.command(), cwd=project.directory, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert project.object() == project.gccs_own()


def test_two_builds_at_once_give_one_answer(project: Project, model: dict[str, str]) -> None:
    other = Project(project.prefix, project.directory / "other")
    shutil.copytree(project.directory, other.directory, ignore=shutil.ignore_patterns("other"))
    env = {**model, "GCCLLM_CACHE_DIR": str(project.store), **generous(project.directory)}
    running = [
        subprocess.Popen(p.command(), cwd=p.directory, env=p.environment(**env), stdout=-1, stderr=-1)
        for p in (project, other)
    ]
    assert [(child.communicate(timeout=300), child.returncode) for child in running] == [((b"", b""), 0)] * 2
    assert project.object() == other.object() != project.gccs_own()
    worked = [event for event in project.events() if event["event"] == "worked"]
    assert len(worked) == 1, "the second build waited for the first one's answer"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_killed_at_any_moment_leaves_no_wrong_object(
    project: Project, model: dict[str, str], number: signal.Signals
) -> None:
    for delay in (0.05, 0.5, 2.0):
        child = subprocess.Popen(
            project.command(), cwd=project.directory, env=project.environment(**model), stdout=-1, stderr=-1,
            process_group=0,
        )  # fmt: skip
        time.sleep(delay)
        os.killpg(child.pid, number)
        child.communicate(timeout=60)
        if child.returncode != 0 and number != signal.SIGKILL:  # gcc itself cannot clean up after SIGKILL
            assert not (project.directory / "total.o").exists()
    project.builds_quietly(**model)
    assert project.prints() == PRINTED


def test_a_killed_engine_leaves_gccs_object(project: Project, model: dict[str, str]) -> None:
    child = subprocess.Popen(
        project.command(), cwd=project.directory, env=project.environment(**model), stdout=-1, stderr=-1
    )
    deadline = time.monotonic() + 60
    engines: list[str] = []
    while not engines and time.monotonic() < deadline:
        found = subprocess.run(
            ["pgrep", "-f", f"gccllm.engine {project.directory}/tmp"], capture_output=True, text=True
        )
        engines = found.stdout.split()
        time.sleep(0.02)
    assert engines
    os.kill(int(engines[0]), signal.SIGKILL)
    assert (child.communicate(timeout=60), child.returncode) == ((b"", b""), 0)
    assert project.object() == project.gccs_own()
    assert project.leftovers() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can only be mounted by root")
def test_a_full_disk_costs_the_memory_not_the_build(project: Project, model: dict[str, str]) -> None:
    script = (
        f"mount -t tmpfs -o size=64k none {project.store} && dd if=/dev/zero of={project.store}/fill bs=1k count=60 "
        f"2>/dev/null; cd {project.directory} && exec {' '.join(project.command())}"
    )
    project.store.mkdir()
    env = project.environment(**model)
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], env=env, capture_output=True, text=True, timeout=180)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert project.prints() == PRINTED
