"""A fixed small sample of the campaign's faults and fuzzing; `make campaign` runs them at scale."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.campaign import faults, fuzz, fuzz_c, fuzz_readers
from tests.campaign.faults_site import install


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> faults.Campaign:
    return faults.set_up(tmp_path_factory.mktemp("campaign"))


@pytest.mark.parametrize("number", range(3))
def test_a_build_killed_at_a_random_moment(campaign: faults.Campaign, number: int) -> None:
    assert faults.kill(campaign, random.Random(number), number) == []


@pytest.mark.parametrize("number", range(8))
def test_a_stored_file_that_was_damaged(campaign: faults.Campaign, number: int) -> None:
    assert faults.damage(campaign, random.Random(number), number) == []


@pytest.mark.parametrize("error", [28, 5, 0], ids=["full", "broken", "killed"])
@pytest.mark.parametrize("scene", ["hit", "queued"])
def test_a_write_of_the_store_that_fails(campaign: faults.Campaign, scene: str, error: int) -> None:
    for at in range(1, faults.operations(campaign, scene) + 1, 7):
        assert faults.failing(campaign, scene, at, error) == [], at


@pytest.mark.parametrize("number", range(2))
def test_a_clock_that_jumps(campaign: faults.Campaign, number: int) -> None:
    assert faults.clock(campaign, random.Random(number), 2 * number) == []


def test_builds_at_once_on_one_store(campaign: faults.Campaign) -> None:
    assert faults.crowd(campaign, random.Random(1), 1, 6) == []


def test_the_campaign_can_tell_a_wrong_object(campaign: faults.Campaign) -> None:
    """Its verdict is no constant: another program's object is not right."""
    site, _ = campaign.scene("hit")
    (site.here / "total.c").write_text(
        "long total(const int *a, int n) { return n; }\nint most(int a, int b) { return a; }"
    )
    assert site.build({"GCCLLM_MODE": "off"}) == (0, b"")
    assert not campaign.is_right(site)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("fuzz")
    fuzz_c.build(where)
    return where


@pytest.mark.parametrize("name", [*fuzz_c.TARGETS, *fuzz_readers.TARGETS])
def test_a_reader_takes_damaged_input_or_refuses_it_by_name(place: Path, name: str) -> None:
    assert fuzz.chunk(name, 0, 1, 60, place)["wrong"] == []


def test_response_files_that_name_each_other_end(place: Path) -> None:
    assert fuzz_c.run(place, "C response file", [b"@words " * 50]) == []


def test_installing_again_keeps_what_is_there(campaign: faults.Campaign) -> None:
    before = (campaign.base.prefix / "faults.so").stat().st_mtime_ns
    install(campaign.base.prefix)
    assert (campaign.base.prefix / "faults.so").stat().st_mtime_ns == before
