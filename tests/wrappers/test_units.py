"""The unit cache and the queue: what the shim does without Python."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from .conftest import LABEL, LOOP, Site


def test_a_known_unit_is_served_without_the_engine(site: Site) -> None:
    own = site.quiet()
    site.write_entry(site.labelled_text())
    served = site.quiet()
    assert site.asked == 1
    assert b"seen_by_engine" in served
    assert own == site.own


def test_an_empty_entry_means_gccs_own(site: Site) -> None:
    site.quiet()
    site.write_entry(b"")
    assert site.quiet() == site.own
    assert site.asked == 1


def test_a_known_unit_is_served_through_a_pipe(site: Site) -> None:
    site.quiet("-pipe")
    site.write_entry(site.labelled_text())
    assert b"seen_by_engine" in site.quiet("-pipe")
    assert site.asked == 1


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda e: b"",
    "header only": lambda e: e[: e.index(b"\n") + 1],
    "no newline": lambda e: e[: e.index(b"\n")],
    "truncated": lambda e: e[:-1],
    "longer": lambda e: e + b"\n",
    "bit flipped": lambda e: e[:-5] + bytes([e[-5] ^ 1]) + e[-4:],
    "digest flipped": lambda e: e.replace(e[14:16], b"zz", 1),
    "other version": lambda e: e.replace(b"gccllm-unit 2", b"gccllm-unit 1", 1),
    "huge length": lambda e: e.replace(e.split(b"\n")[0].split()[-1], b"99999999999999999999999", 1),
    "negative length": lambda e: e.replace(e.split(b"\n")[0].split()[-1], b"-1", 1),
    "zeros": lambda e: bytes(len(e)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_entry_is_removed_and_counts_as_absent(site: Site, damage: Callable[[bytes], bytes]) -> None:
    site.quiet()
    site.write_entry(site.labelled_text())
    site.entry.write_bytes(damage(site.entry.read_bytes()))
    assert site.quiet() == site.own
    assert site.asked == 2
    assert not site.entry.exists()


def test_a_directory_in_place_of_an_entry_is_no_entry(site: Site) -> None:
    site.quiet()
    site.entry.mkdir(parents=True)
    assert site.quiet() == site.own
    assert site.asked == 2


@pytest.mark.parametrize("text", [b"bogus instruction\n", b'.warning "w"\n', b'.incbin "/nowhere"\n', b'.print "x"\n'])
def test_a_known_text_that_makes_the_assembler_speak_is_not_used(site: Site, text: bytes) -> None:
    site.quiet()
    site.write_entry(site.labelled_text() + text)
    assert site.quiet() == site.own
    assert site.failures == ["splice_refused"]


def key_after(site: Site, *options: str, **env: str) -> str:
    site.quiet(*options, env=env)
    return site.key


def program(name: str, path: str) -> list[tuple[str, bytes]]:
    status = Path(path).stat()
    seconds, rest = divmod(status.st_mtime_ns, 10**9)
    time = seconds.to_bytes(8, "little") + rest.to_bytes(8, "little")
    return [(name, path.encode()), ("size", status.st_size.to_bytes(8, "little")), ("time", time)]


def test_the_key_is_the_documented_one(site: Site) -> None:
    (site.src / "gccllm.toml").write_text('proposers = "model"\n')
    (site.src / "cache" / "rewrites").mkdir(parents=True)
    config = site.here / "home" / ".config" / "gccllm" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("budget = 7\n")
    site.store.mkdir()
    (site.store / "epoch").write_text("3\n")
    site.quiet(env={"GCCLLM_PROPOSERS": "model", "GCCLLM_A": ""})
    root = Path(__file__).resolve().parent.parent.parent
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    stamp = (site.src / "cache" / "rewrites").stat().st_mtime_ns
    options = site.request["gcc_option"]
    assert options[2:4] == ["-o", "out.o"]
    fields: list[tuple[str, bytes]] = [
        ("schema", b"gccllm-unit 2 "),
        ("version", version.encode()),
        ("set", b"GCCLLM_A="),
        ("set", b"GCCLLM_OPT=untouched"),
        ("set", b"GCCLLM_PROPOSERS=model"),
        ("user", b"budget = 7\n"),
        ("project", b'proposers = "model"\n'),
        ("rewrites", (stamp // 10**9).to_bytes(8, "little") + (stamp % 10**9).to_bytes(8, "little")),
        ("epoch", b"3\n"),
        ("lookup", b"0"),
        *program("compiler", site.request["compiler"][0]),
        ("directory", str(site.src).encode()),
        *(("option", x.encode()) for x in options[:2] + options[4:]),
        *(("argument", x.encode()) for x in ("-O2", "-c", "loop.c")),
        ("text", (site.here / "in.s").read_bytes()),
    ]
    hashed = b"".join(b"%s %d\n%s" % (name.encode(), len(value), value) for name, value in fields)
    assert site.key == blake2b(hashed, digest_size=32).hexdigest()


def test_what_only_names_files_does_not_change_the_key(site: Site) -> None:
    first = key_after(site)
    assert key_after(site, "-o", "other.o") == first
    assert key_after(site, "-MMD", "-MF", "x.d", "-MT", "x") == first
    assert key_after(site, GCCLLM_BUDGET="9", GCCLLM_STRICT="1") == first


@pytest.mark.parametrize(
    "change", ["text", "option", "setting", "project", "user", "epoch", "cached", "native", "rewrites", "profile"]
)
def test_what_decides_the_answer_changes_the_key(site: Site, change: str) -> None:
    (site.src / "gccllm.toml").touch()
    first = key_after(site)
    options: tuple[str, ...] = ()
    env = {}
    if change == "text":
        (site.src / "loop.c").write_text(LOOP.replace("s = 0", "s = 1"))
    elif change == "option":
        options = ("-fno-plt",)
    elif change == "setting":
        env = {"GCCLLM_PROPOSERS": "recompile"}
    elif change == "project":
        (site.src / "gccllm.toml").write_text("# other\n")
    elif change == "user":
        (site.here / "home/.config/gccllm").mkdir(parents=True)
        (site.here / "home/.config/gccllm/config.toml").write_text("# mine\n")
    elif change == "epoch":
        site.store.mkdir(exist_ok=True)
        (site.store / "epoch").write_text("1")
    elif change == "cached":
        env = {"GCCLLM_MODE": "cached"}
    elif change == "native":
        env = {"GCCLLM_ISA": "native"}
    elif change == "profile":
        (site.src / "gccllm.profile").write_text("sum 1\n")
    elif change == "rewrites":
        (site.src / "cache/rewrites").mkdir(parents=True)
    assert key_after(site, *options, **env) != first


def test_queue_mode_leaves_a_complete_request_and_gccs_object(site: Site) -> None:
    site.settings["GCCLLM_MODE"] = "queue"
    assert site.quiet() == site.own
    (request,) = (site.store / "queue").iterdir()
    assert sorted(p.name for p in request.iterdir()) == ["in.s", "request"]
    before = request.stat().st_mtime_ns
    assert site.quiet() == site.own
    assert [p.name for p in (site.store / "queue").iterdir()] == [request.name]
    assert request.stat().st_mtime_ns == before
    assert site.asked == 0


def test_queue_mode_uses_what_inline_found(site: Site) -> None:
    site.quiet()
    site.write_entry(site.labelled_text())
    assert b"seen_by_engine" in site.quiet(env={"GCCLLM_MODE": "queue"})
    assert not (site.store / "queue").exists()


def test_cached_mode_asks_the_engine_to_look_things_up(site: Site) -> None:
    assert site.quiet(env={"GCCLLM_MODE": "cached"}) == site.own
    assert site.request["mode"] == ["cached"]


@pytest.mark.parametrize(
    ("project", "user", "env", "asked"),
    [
        ('mode = "off"', "", {}, 0),
        ("", "mode = 'off'", {}, 0),
        ('mode = "off"', "", {"GCCLLM_MODE": "inline"}, 1),
        ('mode = "inline"', 'mode = "off"', {}, 1),
        ('# mode = "off"\n[other]\nmode = "off"', "", {}, 1),
        ('model = "off"\nmode="off" # now', "", {}, 0),
        ("", "", {"GCCLLM_MODE": ""}, 1),
        ('mode = "fast"', 'mode = "off"', {"GCCLLM_MODE": "faster"}, 0),
    ],
)
def test_the_mode_comes_from_environment_project_and_user(
    site: Site, project: str, user: str, env: dict[str, str], asked: int
) -> None:
    (site.src / "gccllm.toml").write_text(project + "\n")
    (site.here / "config/gccllm").mkdir(parents=True)
    (site.here / "config/gccllm/config.toml").write_text(user + "\n")
    assert site.quiet(env=env | {"XDG_CONFIG_HOME": str(site.here / "config")}) == site.own
    assert site.asked == asked


@pytest.mark.parametrize("mode", ["inline", "queue", "cached"])
@pytest.mark.parametrize("place", ["file", "nowhere", "proc"])
def test_a_store_that_cannot_be_written_changes_nothing(site: Site, mode: str, place: str) -> None:
    (site.here / "file").touch()
    store = {"file": str(site.here / "file"), "nowhere": str(site.here / "file" / "x"), "proc": "/proc/none"}[place]
    assert site.quiet(env={"GCCLLM_CACHE_DIR": store, "GCCLLM_MODE": mode}) == site.own


def test_two_builds_at_once_give_one_object(site: Site) -> None:
    site.engine("sleep 0.3;" + LABEL)
    commands = [[site.command, "-O2", "-c", "loop.c", "-o", f"{i}.o"] for i in range(4)]
    running = [subprocess.Popen(c, cwd=site.src, env=site.environment()) for c in commands]
    assert [r.wait(60) for r in running] == [0] * 4
    assert len({(site.src / f"{i}.o").read_bytes() for i in range(4)}) == 1
    assert os.listdir(site.tmp) == []


def test_a_full_disk_under_the_store_changes_nothing(site: Site, in_small_filesystem) -> None:  # type: ignore[no-untyped-def]
    site.settings |= {"GCCLLM_MODE": "queue", "GCCLLM_CACHE_DIR": str(site.here / "small/store")}
    done = in_small_filesystem(f"{site.command} -O2 -c loop.c -o out.o && find $SMALL -name request")
    assert (done.returncode, done.stdout) == (0, "")
    assert (site.src / "out.o").read_bytes() == site.own


def test_a_full_temporary_directory_changes_nothing(site: Site, in_small_filesystem) -> None:  # type: ignore[no-untyped-def]
    site.settings |= {"TMPDIR": str(site.here / "small")}
    done = in_small_filesystem(f"{site.command} -pipe -O2 -c loop.c -o out.o && ls $SMALL")
    assert (done.returncode, done.stdout) == (0, "fill\n")
    assert site.asked == 0
    assert (site.src / "out.o").read_bytes() == site.own


def test_an_included_function_is_looked_at_even_without_a_loop(site: Site) -> None:
    (site.src / "loop.c").write_text("int twice(int x) { return x + x; }\n")
    site.quiet()
    assert site.asked == 0
    (site.src / "gccllm.toml").write_text('include = ["twice"]\n')
    site.quiet()
    assert site.asked == 1


def test_the_store_may_be_named_in_the_project(site: Site) -> None:
    site.quiet()
    site.settings["GCCLLM_CACHE_DIR"] = ""
    (site.src / "gccllm.toml").write_text(f'cache_dir = "{site.here}/other"\nmode = "queue"\n')
    site.quiet()
    assert len(list((site.here / "other" / "queue").iterdir())) == 1


def same_row(path: Path, *, times: bool) -> str:
    data, status = path.read_bytes(), path.stat()
    known = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino) if times else (0, 0, 0)
    return "\t".join(map(str, ("same", blake2b(data, digest_size=32).hexdigest(), len(data), *known, path)))


@pytest.mark.parametrize("times", [True, False])
def test_an_answer_stands_while_its_sources_are_the_same(site: Site, times: bool) -> None:
    site.quiet()
    rows = [same_row(site.src / "loop.c", times=times), f"absent\t{site.src / 'nothing.h'}"]
    site.write_entry(site.labelled_text(), rows)
    assert b"seen_by_engine" in site.quiet()
    os.utime(site.src / "loop.c")
    assert b"seen_by_engine" in site.quiet(), "touched, with the same contents"
    assert site.asked == 1


def test_an_answer_falls_when_a_source_changes_and_the_text_does_not(site: Site) -> None:
    site.quiet()
    header = site.src / "types.h"
    header.write_text("typedef int num;\n")
    site.write_entry(site.labelled_text(), [same_row(header, times=True)])
    assert b"seen_by_engine" in site.quiet()
    header.write_text("typedef long num;\n")
    assert site.quiet() == site.own
    header.write_text("typedef int num;\n")
    assert b"seen_by_engine" in site.quiet(), "the answer was kept"
    header.unlink()
    assert site.quiet() == site.own


def test_an_answer_falls_when_a_file_would_be_found_first(site: Site) -> None:
    site.quiet()
    site.write_entry(site.labelled_text(), [f"absent\t{site.src / 'types.h'}"])
    assert b"seen_by_engine" in site.quiet()
    (site.src / "types.h").touch()
    assert site.quiet() == site.own


@pytest.mark.parametrize(
    "row", ["", "same", "same\tzz\t1\t1\t1\t1\t/", "unknown\t/nowhere", "absent\t/", "same\t" + "0" * 64]
)
def test_a_row_that_is_not_understood_does_not_hold(site: Site, row: str) -> None:
    site.quiet()
    site.write_entry(site.labelled_text(), [row, "more"])
    assert site.quiet() == site.own


def test_the_same_text_elsewhere_is_another_unit(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Site(site.prefix, tmp_path / "other")
    assert key_after(other) != key_after(site)
