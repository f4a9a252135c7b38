"""`gccllm init`: files with which a project builds with gcc-llm. One row a file; the text is in `templates/`."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")


class Differs(Exception):
    """Another file is in the place."""


@dataclass(frozen=True, slots=True)
class Starter:
    word: str
    template: str
    path: str
    """Where the file goes, from the project's directory."""
    says: str
    beside: str
    """What the directory has where the file is of use."""
    following: tuple[str, ...]
    """What to do next, in that directory."""

    def steps(self, directory: Path) -> list[str]:
        """What to do next, in the caller's directory and with the caller's PATH."""
        from gccllm.commands.doctor import launcher

        steps = list(self.following)
        if not shutil.which("gcc-llm") and (ours := launcher()):
            steps.insert(0, f"export PATH={shlex.quote(str(ours.parent))}:$PATH")
        if directory != Path():
            steps.insert(0, f"cd {shlex.quote(str(directory))}")
        return steps

    def write(self, directory: Path, force: bool) -> bool:
        """False: it is there already, as it would be written. Raises Differs and OSError."""
        path, text = directory / self.path, (TEMPLATES / self.template).read_bytes()
        if path.is_file() and path.read_bytes() == text:
            return False
        if os.path.lexists(path) and not force:
            raise Differs(f"{path} is there and differs; --force overwrites it")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        return True


BUILD = "build-gcc-llm"
"""A folder of its own: CMake and Meson keep the compiler of a build folder that is there already."""

_COMMIT = "commit the project's rewrites beside it: gccllm init toml"

STARTERS = (
    Starter(
        "cmake", "gcc-llm.cmake", "gcc-llm.cmake", "CMake's toolchain file", "CMakeLists.txt",
        (f"cmake -S . -B {BUILD} -DCMAKE_TOOLCHAIN_FILE=gcc-llm.cmake", f"cmake --build {BUILD}"),
    ),
    Starter(
        "meson", "gcc-llm.ini", "gcc-llm.ini", "Meson's native file", "meson.build",
        (f"meson setup --native-file gcc-llm.ini --buildtype=release {BUILD}", f"meson compile -C {BUILD}"),
    ),
    Starter(
        "ci", "github.yml", ".github/workflows/gcc-llm.yml", "a GitHub Actions job, with committed rewrites", ".git",
        ("edit its `pip install` line: where gcc-llm comes from", _COMMIT),
    ),
    Starter(
        "gitlab", "gitlab.yml", ".gitlab/gcc-llm.yml", "the same job for GitLab CI", ".git",
        (
            "edit its `pip install` line: where gcc-llm comes from",
            "add to .gitlab-ci.yml:   include: {local: /.gitlab/gcc-llm.yml}",
            _COMMIT,
        ),
    ),
    Starter(
        "toml", "gccllm.toml", "gccllm.toml", "the project's settings, beside its committed cache/", "",
        ("build; gccllm cache export; git add gccllm.toml cache",),
    ),
)  # fmt: skip
