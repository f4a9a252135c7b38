"""`gccllm record`: the command is left alone, what it recorded is kept, and none of it goes anywhere else."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from gccllm.base.core import PAGE_BYTES
from gccllm.base.toolchain import Toolchain
from gccllm.commands import maintenance
from gccllm.commands import record_run as recorder
from gccllm.commands.cli import main
from gccllm.record.capture import RecordedCall
from gccllm.record.store import TestStore
from gccllm.store import Store
from tests.kit.calls import HEAP, KEY, call, ints, known, write_capture

SOURCE = "int f(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }"
SECRET = b"correct horse battery staple"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> TestStore:
    return known(tmp_path, SOURCE)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where run folders are made."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def leave(
    place: Path, *calls: RecordedCall, process: str = "77-123-0", counts: str | None = None, key: str = KEY
) -> None:
    """The files that a recorded process leaves in its folder."""
    place.mkdir(exist_ok=True)
    for slot, one in enumerate(calls):
        (place / f"{process}.{key[:16]}.{slot}.cap").write_bytes(write_capture(one))
    if counts is not None:
        (place / f"{process}.counts").write_text(counts)


def copying(place: Path, code: int = 0) -> list[str]:
    """A command that "records" what lies in `place`."""
    return ["sh", "-c", f'cp {place}/* "$GCCLLM_RECORD_DIR"/ && echo done && echo oops >&2; exit {code}']


def sums(*sizes: int, seen: int = 100) -> list[RecordedCall]:
    return [
        call(memory=ints(*range(7, 7 + n)) + SECRET, rdi=HEAP, rsi=n, seen=seen, ticks=50 * n, rbx=0x5EC12E7)
        for n in sizes
    ]


# --- the command ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -SEGV $$"], 128 + signal.SIGSEGV),
        (["no-such-program-anywhere"], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
    ],
)
def test_the_exit_status_is_the_commands(
    store: TestStore, temporary: Path, command: list[str], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert recorder.run(command, store) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("gccllm record: ")
    assert list(temporary.iterdir()) == [], "the folder of the run is gone"


def test_input_and_output_are_the_commands(store: TestStore, tmp_path: Path) -> None:
    code = "import sys; from gccllm.commands import record_run; from gccllm.record import store; import pathlib; "
    code += f"sys.exit(record_run.run(['cat'], store.TestStore(pathlib.Path({str(store.root)!r}))))"
    ran = subprocess.run([sys.executable, "-c", code], input=b"\0in and out\xff", capture_output=True, cwd=ROOT)
    assert (ran.returncode, ran.stdout) == (recorder.NOTHING_KEPT, b"\0in and out\xff")
    assert ran.stderr.decode().startswith("gccllm record: no call was recorded")


def test_the_folder_is_private_and_named_to_the_command(store: TestStore, tmp_path: Path) -> None:
    parent = tmp_path / "somewhere" / "else"
    command = 'stat -c "%a %n" "$GCCLLM_RECORD_DIR" > "$0"; echo "$GCCLLM_RECORD_CALLS" >> "$0"'
    assert (
        recorder.run(["sh", "-c", command, str(tmp_path / "said")], store, recorder.Recording(parent, calls=5))
        == recorder.NOTHING_KEPT
    )
    mode, folder, calls = (tmp_path / "said").read_text().split()
    assert (mode, Path(folder).parent.parent, calls) == ("700", parent, "5")
    assert list(parent.iterdir()) == []


def test_a_recording_that_kept_nothing_says_why_in_one_line_and_fails(
    store: TestStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    leave(tmp_path / "run", counts=f"{KEY} f 30 0 budget=4 pages=1\n")
    assert recorder.run(copying(tmp_path / "run"), store) == recorder.NOTHING_KEPT
    (line,) = (line for line in capfd.readouterr().err.splitlines() if line != "oops")
    assert line.startswith("gccllm record: no call was kept of the 30 that 1 function made: budget 4: ")
    assert "GCCLLM_RECORD_CPU=100" in line
    assert recorder.run(copying(tmp_path / "run", 5), store) == 5, "the command's own status comes first"


def test_what_is_to_be_kept_is_kept(store: TestStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    leave(tmp_path / "run", *sums(1, 2))
    recorder.run(copying(tmp_path / "run"), store, recorder.Recording(tmp_path / "runs", keep=True))
    (folder,) = (tmp_path / "runs").glob("*/calls")
    assert len(list(folder.glob("*.cap"))) == 2
    assert str(folder) in capfd.readouterr().err


def test_a_recording_that_grows_too_large_ends_and_the_command_goes_on(
    store: TestStore, tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was captured before is kept; afterwards there is no folder to write to, as on a full disk."""
    leave(tmp_path / "run", *sums(1, 2))
    (tmp_path / "run" / "large.cap").write_bytes(bytes(2 << 20))
    waits = (
        'while [ -d "$GCCLLM_RECORD_DIR" ]; do sleep 0.1; done; touch "$GCCLLM_RECORD_DIR/late" || echo refused; exit 5'
    )
    command = ["sh", "-c", f'cp {tmp_path}/run/* "$GCCLLM_RECORD_DIR"; {waits}']
    assert recorder.run(command, store, recorder.Recording(most=1 << 20, keep=True)) == 5
    out, err = capfd.readouterr()
    assert out == "refused\n"
    assert "2 captured; 2 kept" in err
    assert "the recording ended when its files had grown to 1 MiB; the command went on" in err
    (folder,) = temporary.glob("gccllm-record-*/calls.full")
    assert str(folder) in err


# --- what comes of it -------------------------------------------------------------------------------


def test_recorded_calls_become_tests_with_their_weights(
    store: TestStore, tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "run"
    leave(place, *sums(1, 2, 3, 4), process="1-1-0", counts=f"{KEY} f 1000 9 busy=3 cpu=2\n")
    leave(place, *sums(10, seen=60), process="2-1-0", counts=f"{KEY} f 50 1\n")
    leave(place, process="3-1-0", counts=f"{KEY} f 7 0 busy=1\n")
    assert recorder.run(copying(place, 3), store) == 3
    out, err = capfd.readouterr()
    assert out == "done\n"
    assert "oops\n" in err
    assert "1067 calls of 1 function seen, 5 captured; 5 kept with those of earlier runs" in err
    assert "dropped: busy 4, cpu 2" in err
    assert err.count("WARNING") == 1
    assert str(store.root) in err
    recorded = store.load(KEY)
    assert recorded is not None
    assert recorded.total == 1067
    by_size = {c.before.rsi: w for c, w in zip(recorded.calls, recorded.weights, strict=True)}
    scale = 1067 / 1060
    assert by_size == pytest.approx({1: 250 * scale, 2: 250 * scale, 3: 250 * scale, 4: 250 * scale, 10: 60 * scale})


def test_runs_add_up(store: TestStore, tmp_path: Path, temporary: Path) -> None:
    for sizes in ((1, 2), (2, 3)):
        place = tmp_path / f"run{sizes}"
        leave(place, *sums(*sizes), counts=f"{KEY} f 100 2\n")
        recorder.ingest(place, store)
    recorded, head = store.load(KEY), store.head(KEY)
    assert recorded is not None
    assert head is not None
    assert {c.before.rsi: w for c, w in zip(recorded.calls, recorded.weights, strict=True)} == {1: 50, 2: 100, 3: 50}
    assert (head.total, head.runs) == (200, 2)


def test_damaged_and_unknown_files_are_counted_by_name_and_cost_nothing_else(store: TestStore, tmp_path: Path) -> None:
    place = tmp_path / "run"
    leave(place, *sums(1, 2, 3), counts=f"{KEY} f 30 3\n")
    (place / f"77-123-0.{KEY[:16]}.0.cap").write_bytes(b"GLLMCAP1\1\0\0\0")
    leave(place, process="8-1-0", counts="not counts\n")
    leave(place, call("c3" * 32), process="9-1-0", counts=f"{'c3' * 32} g 10 1\n", key="c3" * 32)
    leave(place, call(KEY[:16] + "0" * 48), process="10-1-0")
    newer = bytearray(write_capture(sums(4)[0]))
    newer[8] = 2
    (place / f"11-1-0.{KEY[:16]}.0.cap").write_bytes(newer)
    (place / "core").write_bytes(b"something else")
    done = recorder.ingest(place, store)
    assert dict(done.dropped) == {"capture_corrupt": 2, "capture_version": 1, "no_bench": 2}
    assert (done.functions, done.captured, done.kept, done.problems) == (1, 2, 2, [])


def test_a_function_that_was_never_called_is_known_as_that(store: TestStore, tmp_path: Path) -> None:
    leave(tmp_path / "run", counts=f"{KEY} f 0 0\n")
    done = recorder.ingest(tmp_path / "run", store)
    assert (done.seen, done.functions) == (0, 0)
    assert store.head(KEY) is None


def test_a_store_that_cannot_be_written_keeps_the_files_and_says_where(
    store: TestStore, tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "run"
    leave(place, *sums(1))
    store.path(KEY).mkdir()  # a folder in the way of the file
    assert recorder.run(copying(place), store) == recorder.NOTHING_KEPT
    err = capfd.readouterr().err
    (folder,) = temporary.iterdir()
    assert "the test store cannot be written" in err
    assert f"the files of this run are in {folder}" in err


def test_a_process_killed_while_recording_loses_only_what_was_not_written(store: TestStore, tmp_path: Path) -> None:
    leave(tmp_path / "run", *sums(3, 4, seen=900))  # no counts: it never came to its end
    recorder.ingest(tmp_path / "run", store)
    recorded = store.load(KEY)
    assert recorded is not None
    assert (len(recorded.calls), recorded.total) == (2, 900)


# --- redaction --------------------------------------------------------------------------------------


def test_redacted_tests_hold_what_the_function_reads_and_nothing_else(store: TestStore, tmp_path: Path) -> None:
    place = tmp_path / "run"
    faulting = call(memory=b"", rdi=0x1000, rsi=4)
    leave(place, *sums(1, 5, 40), faulting, counts=f"{KEY} f 100 4\n")
    done = recorder.ingest(place, store, Toolchain.find())
    assert done.dropped["not_replayed"] == 1
    recorded = store.load(KEY)
    assert recorded is not None
    assert sorted(c.before.rsi for c in recorded.calls) == [1, 5, 40]
    for one in recorded.calls:
        n = one.before.rsi
        heap = next(page.content for page in one.pages if page.address == HEAP)
        assert heap == ints(*range(7, 7 + n)) + bytes(PAGE_BYTES - 4 * n)
        assert all(page.content == bytes(PAGE_BYTES) for page in one.pages if page.address != HEAP)
        assert (one.before.rdi, one.before.rbx, one.fs_base) == (HEAP, 0, 0)
    assert SECRET not in b"".join(page.content for one in recorded.calls for page in one.pages)


def test_without_a_bench_that_works_redaction_keeps_nothing(store: TestStore, tmp_path: Path) -> None:
    bench = store.bench(KEY)
    assert bench is not None
    store.put_bench(KEY, bench.bench.model_copy(update={"slice": "nonsense\n"}), "f", "unit.c", ())
    leave(tmp_path / "run", *sums(1, 5), counts=f"{KEY} f 100 2\n")
    done = recorder.ingest(tmp_path / "run", store, Toolchain.find())
    assert len(done.problems) == 1
    assert "cannot be replayed, so nothing of it is kept" in done.problems[0]
    assert done.dropped["not_replayed"] == 2
    head = store.head(KEY)
    assert head is None or head.rows == ()


# --- never sent to any server -----------------------------------------------------------------------

NETWORK = {"socket", "ssl", "http", "httpx", "urllib", "requests", "redis", "ftplib", "smtplib", "asyncio", "aiohttp"}


def imports(path: Path) -> set[str]:
    return set(re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE))


def test_nothing_that_handles_recorded_memory_can_reach_a_network() -> None:
    """Direct imports of every module of the recording; and whoever speaks to a server does not know the test store."""
    known = {path: imports(path) for path in (ROOT / "gccllm").rglob("*.py") if "train" not in path.parts}
    ours = [path for path in known if path.parent.name == "record"]
    speakers = [path for path in known if {name.split(".")[0] for name in known[path]} & NETWORK]
    assert len(ours) > 8
    assert speakers, "the model's endpoint at least"
    assert not set(ours) & set(speakers)
    assert [path for path in speakers if any(name.startswith("gccllm.record") for name in known[path])] == []


def test_the_store_of_rewrites_takes_no_tests_along(store: TestStore, tmp_path: Path) -> None:
    """What is exported, imported or looked up lies under `rewrites/`; tests are beside it and never below it."""
    store.add(KEY, sums(5), 100)
    rewrites = Store(store.root.parent)
    assert list(rewrites.entries()) == []
    assert maintenance.export(rewrites, tmp_path / "exported") == 0
    assert not (tmp_path / "exported").exists()
    assert store.root == rewrites.user / "tests"
    with pytest.raises(ValueError, match="key"):
        rewrites.put(_entry("../tests/x"))


def _entry(key: str):  # type: ignore[no-untyped-def]
    from gccllm.store import Entry

    return Entry(key=key, situation={}, function="f", source="f.c", outcome="nothing", created=1.0)


# --- the subcommand ---------------------------------------------------------------------------------


def test_the_subcommand_runs_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCCLLM_CACHE_DIR", str(tmp_path / "store"))
    known(tmp_path, SOURCE)
    leave(tmp_path / "run", *sums(1, 2), counts=f"{KEY} f 100 2\n")
    ran = CliRunner().invoke(main, ["record", "--dir", str(tmp_path / "runs"), "--", *copying(tmp_path / "run", 5)])
    assert ran.exit_code == 5
    assert "100 calls of 1 function seen, 2 captured" in ran.stderr
    head = TestStore.of(tmp_path / "store").head(KEY)
    assert head is not None
    assert len(head.rows) == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["record"], "Missing argument 'COMMAND...'"),
        (["record", "--calls", "none", "--", "true"], "'none' is not a valid integer"),
        (["record", "--calls", "0", "--", "true"], "0 is not in the range"),
        (["record", "--dir", "/proc/nothing", "--", "true"], "No such file or directory"),
        (["record", "--dir", "/etc/passwd", "--", "true"], "is a file"),
    ],
)
def test_bad_input_is_one_line(args: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCCLLM_CACHE_DIR", str(tmp_path))
    ran = CliRunner().invoke(main, args)
    assert ran.exit_code in (1, 2)
    assert says in ran.output
    assert "Traceback" not in ran.output
    errors = [line for line in ran.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1


def test_processes_of_a_recording_have_equal_addresses(tmp_path, capfd):
    """Where the kernel lets a program choose; else the addresses are as ever."""
    program = "print(open('/proc/self/maps').read().split('-')[0])"
    store = TestStore(tmp_path / "tests")
    seen = []
    for _ in range(2):
        assert recorder.run([sys.executable, "-c", program], store) == recorder.NOTHING_KEPT
        seen.append(capfd.readouterr().out)
    refused = subprocess.run(["setarch", "-R", "true"], check=False, capture_output=True).returncode != 0
    assert seen[0] == seen[1] or refused
