"""The projects of suite `recorded`, one row each: what is fetched, what runs it, which of its own tests are run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WORKLOADS = Path(__file__).parent / "workloads"


@dataclass(frozen=True, slots=True)
class Project:
    package: str
    """Name in the package index; its source archive holds the C."""
    tests: tuple[str, ...]
    """Its own tests, below the unpacked archive."""
    recorded: tuple[int, int]
    """Size of the workload's inputs and how often all are worked on, when calls are recorded."""
    measured: tuple[int, int]
    """The same when the whole program is timed: on other data, and so often that most of the time is the project's."""
    needs: tuple[str, ...] = ()
    """Packages that its build or its tests want, beside setuptools and pytest."""
    setting: str = ""
    """NAME=VALUE for its set-up."""
    without: tuple[str, ...] = ()
    """Globs of what is taken out of the tree before it is built: other versions of the same library."""
    exclude: tuple[str, ...] = ()
    """Globs of functions that are not the project's: generated glue."""
    deselect: tuple[str, ...] = ()
    """Tests that are left out, as pytest's -k names them."""

    def __str__(self) -> str:
        return self.package

    @property
    def workload(self) -> Path:
        return WORKLOADS / f"on_{self.package}.py"


CYTHON = ("__Pyx*", "__pyx*", "PyInit*")

PROJECTS = (
    Project("zopfli", ("tests",), (200_000, 1), (120_000, 1)),
    # Left out of the tests: files with thousands of combinations of parameters, and those that want gigabytes.
    Project("lz4", ("tests/block/test_block_1.py", "tests/block/test_block_3.py", "tests/frame/test_frame_0.py",
                    "tests/frame/test_frame_6.py", "tests/frame/test_frame_7.py", "tests/frame/test_frame_9.py"),
            (200_000, 1), (1_000_000, 8), needs=("pkgconfig", "setuptools_scm", "psutil"),
            setting="PYLZ4_USE_SYSTEM_LZ4=False"),
    Project("xxhash", ("tests",), (200_000, 1), (1_000_000, 40),
            deselect=("benchmark", "pyright", "thread", "interpreters")),
    # The archive lacks a file that the other tests import.
    Project("mmh3", ("tests/test_doctrings.py", "tests/test_invalid_inputs.py"), (200_000, 1), (1_000_000, 20)),
    Project("crc32c", ("test",), (200_000, 1), (1_000_000, 20), setting="CRC32C_SW_MODE=force",
            deselect=("benchmark", "subinterpreter")),
    Project("lupa", ("lupa/tests",), (3_000, 1), (12_000, 2), needs=("Cython",), setting="LUPA_NO_LUAJIT=true",
            without=("third-party/luajit*", "third-party/lua51", "third-party/lua52", "third-party/lua53",
                     "third-party/lua55"), exclude=CYTHON),
    Project("brotli", ("python/tests",), (200_000, 1), (600_000, 1), needs=("pkgconfig",)),
    Project("bitarray", ("bitarray/test_bitarray.py", "bitarray/test_util.py"), (60_000, 1), (200_000, 2)),
)  # fmt: skip
