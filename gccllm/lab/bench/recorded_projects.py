"""The projects of suite `recorded`, one row each: what is fetched, what runs it, which of its own tests are run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WORKLOADS = Path(__file__).parent / "workloads"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a source package of Debian is built and tested: shell lines in its tree, `CC` in their environment."""

    build: tuple[str, ...]
    tests: tuple[str, ...]
    named: str = ""
    """What finds (name, outcome) of a test in the output of a line of `tests`; a line is one test otherwise."""
    tools: tuple[str, ...] = ()
    """Programs that the build wants, beside make."""


@dataclass(frozen=True, slots=True)
class Project:
    package: str
    """Name in the package index (with a recipe: of Debian's source package); its source archive holds the C."""
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
    recipe: Recipe | None = None

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
    Project("lupa", ("lupa/tests/test.py",), (3_000, 1), (12_000, 2), needs=("Cython",), setting="LUPA_NO_LUAJIT=true",
            without=("third-party/luajit*", "third-party/lua51", "third-party/lua52", "third-party/lua53",
                     "third-party/lua55"), exclude=CYTHON),
    Project("brotli", ("python/tests",), (200_000, 1), (600_000, 1), needs=("pkgconfig",)),
    # One unit; with the interpreter's -g its assembly has 70 MB, which is declined.
    Project("zstandard", ("tests/test_compressor_compress.py", "tests/test_compressor_compressobj.py",
                          "tests/test_decompressor_decompress.py", "tests/test_decompressor_decompressobj.py",
                          "tests/test_train_dictionary.py"),
            (200_000, 1), (1_000_000, 4), needs=("hypothesis", "packaging"), setting="CFLAGS=-O3 -DNDEBUG -fwrapv"),
    Project("bitarray", ("bitarray/test_bitarray.py", "bitarray/test_util.py"), (60_000, 1), (200_000, 2)),
    Project("bzip2", (), (200_000, 1), (900_000, 4), recipe=Recipe(
        ('make -s CC="$CC" libbz2.a bzip2',),
        (*(f"./bzip2 -{n} < sample{n}.ref | cmp - sample{n}.bz2" for n in (1, 2, 3)),
         *(f"./bzip2 -d{'s' * (n == 3)} < sample{n}.bz2 | cmp - sample{n}.ref" for n in (1, 2, 3))))),
    Project("zlib", (), (200_000, 1), (1_000_000, 6), recipe=Recipe(
        ("./configure --static", "make -s libz.a example minigzip infcover"),
        ("echo hello world | ./minigzip | ./minigzip -d", "./example", "./infcover"))),
    # One unit of 240,000 lines. Its tests: some of the files, of every part that the workload uses. What runs them is
    # the same unit with other settings and 60 more, which take what was found for the program and look for nothing.
    Project("sqlite3", (), (300, 1), (3_000, 1), recipe=Recipe(
        ("CFLAGS=-O2 ./configure --disable-readline --with-tcl=/usr/lib/tcl8.6", "make -s sqlite3",
         "GCCLLM_MODE=cached make -s testfixture"),
        tuple(f"./testfixture test/{name}.test" for name in (
            "select1", "select4", "where", "index", "join", "insert", "update", "delete", "expr", "func", "like",
            "sort", "trans", "types", "view", "trigger1", "in", "minmax", "between", "collate1", "json101", "with1")),
        named=r"^([\w.-]+)\.\.\. (\w+)", tools=("tclsh",))),
)  # fmt: skip
