"""The recorder under faults: limits, full disks, kills, kernels that refuse; the program goes on as ever."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.recorder import GENEROUS, Ran, Workplace
from tests.kit.recorder_programs import FILTERED, LIST


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def test_limits_of_processes_descriptors_and_memory(work: Workplace) -> None:
    recorded, plain = work.program(LIST)
    want = work.run(plain, "100", record=False)

    def limited(what: int, soft: int, name: str) -> Ran:
        ran = work.run(recorded, "100", before=lambda: resource.setrlimit(what, (soft, soft)), name=name)
        assert (ran.code, ran.out, ran.err) == (want.code, want.out, want.err)
        return ran

    # Enough for the program's own start only: standard descriptors and its libraries.
    assert limited(resource.RLIMIT_NOFILE, 4, "descriptors").counts["total"].captured > 0
    assert limited(resource.RLIMIT_FSIZE, 20000, "sizes").counts["total"].dropped["file"] > 0
    small = limited(resource.RLIMIT_AS, 6 << 20, "memory")
    assert not small.captures
    assert not small.counts or small.counts["total"].dropped["memory"] > 0


def test_a_full_disk_leaves_no_file_and_is_counted(work: Workplace) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    _, plain = work.program(LIST)
    want = work.run(plain, "100", record=False)
    (work.here / "small").mkdir()
    script = (
        "mount -t tmpfs -o size=64k none small || exit 77; GCCLLM_RECORD_DIR=$PWD/small ./recorded 100; code=$?; "
        "ls -A small >listing; cp small/*.counts . ; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=work.here, env={**os.environ, **GENEROUS}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("the kernel allows no mount here")
    assert (done.returncode, done.stdout) == (want.code, want.out)
    names = (work.here / "listing").read_text().split()
    assert len([name for name in names if name.endswith(".cap")]) == 1
    assert not [name for name in names if name.startswith(".")]


def test_a_directory_that_is_not_there_or_not_ours(work: Workplace) -> None:
    recorded, plain = work.program(LIST)
    want = work.run(plain, "50", record=False)
    for place in ("/nowhere/at/all", "relative", "/dev/null", "/" + "x" * 2000):
        env = {**os.environ, **GENEROUS, "GCCLLM_RECORD_DIR": place}
        done = subprocess.run([recorded, "50"], cwd=work.here, env=env, capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stdout, done.stderr) == (want.code, want.out, want.err)


def test_killed_at_any_moment_every_file_is_whole(work: Workplace) -> None:
    recorded, _ = work.program(LIST)
    directory = work.here / "recording"
    directory.mkdir()
    env = {**os.environ, **GENEROUS, "GCCLLM_RECORD_CALLS": "24", "GCCLLM_RECORD_DIR": str(directory)}
    for turn in range(6):
        child = subprocess.Popen([recorded, "100000000"], cwd=work.here, env=env, stdout=subprocess.PIPE)
        # The first call's counts are written before the second call is.
        while len(list(directory.glob(f"{child.pid}-*.cap"))) < 3 * turn + 2:
            assert child.poll() is None
        child.kill()
        child.communicate()
    ran = work.read(subprocess.CompletedProcess([], 0, "", ""), directory)  # reads all, or raises
    whole = [name for name in ran.names if name.endswith(".cap") and not name.startswith(".")]
    assert len({name.split("-")[0] for name in whole}) == 6
    assert len([count for count in ran.every_count if count.name == "total"]) == 6


@pytest.mark.parametrize(
    ("number", "first", "word"),
    [(157, 22, "seccomp"), (157, 38, "seccomp"), (10, 0, ""), (13, 11, "killed"), (28, 0, ""), (131, 0, "")],
    ids=[
        "prctl-seccomp",
        "prctl-privileges",
        "mprotect-nothing",
        "sigaction",
        "madvise-nothing",
        "sigaltstack-nothing",
    ],
)
def test_a_kernel_that_refuses(work: Workplace, number: int, first: int, word: str) -> None:
    recorded, plain = work.program(LIST)
    want = work.run(plain, "60", record=False)
    (work.here / "filtered.c").write_text(FILTERED)
    filtered = work.link("filtered.c", output="filtered")
    ran = work.run(filtered, str(number), str(first), recorded, "60")
    assert (ran.code, ran.out, ran.err) == (want.code, want.out, want.err)
    if word:
        assert not ran.captures
        assert ran.counts["total"].dropped[word] > 0
    else:
        assert ran.counts["total"].captured > 0


def test_no_child_and_no_library_of_proc(work: Workplace) -> None:
    """clone with the flags of a capture is refused; then one with those of a child that borrows memory."""
    recorded, plain = work.program(LIST)
    want = work.run(plain, "60", record=False)
    (work.here / "filtered.c").write_text(FILTERED)
    filtered = work.link("filtered.c", output="filtered")
    ran = work.run(filtered, "56", str(0x800000), recorded, "60", name="capture")
    assert (ran.code, ran.out) == (want.code, want.out)
    assert ran.counts["total"].dropped["clone"] > 0
    ran = work.run(filtered, "56", str(0x804100), recorded, "60", name="borrow")
    assert (ran.code, ran.out) == (want.code, want.out)
    assert ran.names == []


@pytest.fixture
def as_nobody(work: Workplace) -> Iterator[Callable[[int, int | None], int]]:
    """Run the recorded program with a mode, and a limit of processes, as another user; how many files it left."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    recorded, _ = work.program(LIST)
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        directory = Path(place) / "recording"
        directory.mkdir()
        os.chmod(directory, 0o777)
        program = Path(shutil.copy(recorded, place))

        def run(mode: int, processes: int | None = None) -> int:
            os.chmod(program, mode)

            def limit() -> None:
                if processes is not None:
                    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))

            done = subprocess.run(
                [program, "60"], env={**os.environ, **GENEROUS, "GCCLLM_RECORD_DIR": str(directory)}, cwd="/",
                capture_output=True, text=True, timeout=100, user=65534, group=65534, extra_groups=[],
                preexec_fn=limit,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (7, "")
            return len(list(directory.iterdir()))

        yield run


def test_set_user_id_programs_are_not_recorded(as_nobody: Callable[..., int]) -> None:
    assert as_nobody(0o4755) == 0
    assert as_nobody(0o755) > 0


def test_a_user_who_may_have_no_other_process(as_nobody: Callable[..., int]) -> None:
    assert as_nobody(0o755, 1) == 0


def test_exec_and_two_images_record_apart(work: Workplace) -> None:
    library = r"""
unsigned twice(const unsigned char *p, int n) {
    unsigned h = 1;
    for (int i = 0; i < n; i++)
        h = h * 31 + p[i];
    return h;
}
"""
    main = r"""
#include <stdio.h>
#include <unistd.h>
unsigned twice(const unsigned char *, int);
__attribute__((noipa)) unsigned once(const unsigned char *p, int n) {
    unsigned h = 7;
    for (int i = 0; i < n; i++)
        h = h * 33 + p[i];
    return h;
}
int main(int argc, char **argv) {
    unsigned char text[40] = {1, 2, 3};
    printf("%u %u\n", once(text, 40), twice(text, 30));
    fflush(stdout);
    return argc > 1 ? execl(argv[0], argv[0], (char *)0) : 0;
}
"""
    work.link("-shared", work.compile(library, "-fPIC", name="library"), output="libtwice.so")
    program = work.link(work.compile(main, name="main"), "libtwice.so", "-Wl,-rpath,.")
    ran = work.run(program, "again")
    assert ran.code == 0
    assert ran.out.split()[:2] == ran.out.split()[2:]
    assert len([name for name in ran.names if name.endswith(".counts")]) == 4
    assert Counter(count.name for count in ran.every_count if count.captured)["twice"] >= 1
    assert len({name.split(".")[0] for name in ran.names}) == 4  # two images, twice
