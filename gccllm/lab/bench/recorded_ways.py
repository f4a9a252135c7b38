"""How a project of suite `recorded` is fetched, built, tested and run: by pip, or by a shell line in its tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gccllm.lab.bench.objects import BuildFailed, run_tool
from gccllm.lab.bench.programs import Program, fetch, unpack
from gccllm.lab.bench.recorded_projects import Project, Recipe

BUILD_S = 14400.0
TEST_S = 3600.0


class Way(Protocol):
    """All raise BuildFailed when something cannot be done; `site` is the folder of one build."""

    def fetch(self, archives: Path) -> Path:
        """The root of the unpacked sources, named NAME-VERSION."""

    def build(self, root: Path, site: Path, env: Mapping[str, str]) -> None:
        """Build with the compiler in `CC` into `site`, which is made anew."""

    def own_tests(self, root: Path, site: Path, env: Mapping[str, str]) -> dict[str, str]:
        """Test to `passed`, `failed` or `skipped`."""


def way_of(project: Project, python: Path) -> Way:
    return Make(project, project.recipe) if project.recipe else Pip(project, python)


def built_at(site: Path, env: Mapping[str, str]) -> dict[str, str]:
    """What a workload sees: modules, or programs, in `site`."""
    return {**env, "PYTHONPATH": str(site), "BUILT": str(site)}


# --- a package of Python's index ----------------------------------------------------------------------------------


class Pip:
    """By its own set-up, without network and without isolation, so that `CC` counts."""

    def __init__(self, project: Project, python: Path) -> None:
        self.project = project
        self.python = python

    def fetch(self, archives: Path) -> Path:
        return fetch(Program(self.project.package, (), "", setting=self.project.setting), archives)

    def build(self, root: Path, site: Path, env: Mapping[str, str]) -> None:
        tree = site.with_suffix(".tree")
        for old in (site, tree):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(root, tree)
        for glob in self.project.without:
            for path in tree.glob(glob):
                shutil.rmtree(path)
        run_tool(
            [str(self.python), "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir",
             "--no-index", "--target", str(site), str(tree)], env=env, deadline_s=BUILD_S,
        )  # fmt: skip

    def own_tests(self, root: Path, site: Path, env: Mapping[str, str]) -> dict[str, str]:
        """Also BuildFailed when pytest cannot tell, or collect all of them.

        Tests that are installed with the package are run where they were installed: pytest takes no module that is
        found in two places. Those that lie inside of a package and are left out of it are put there.
        """
        project = self.project
        report = site.with_suffix(".xml")
        report.unlink(missing_ok=True)
        chosen = ["-k", " and ".join(f"not {word}" for word in project.deselect)] if project.deselect else []
        for path in map(Path, project.tests):
            inside = path if (root / path).is_dir() else path.parent
            if (site / path.parts[0]).is_dir() and len(inside.parts) > 1:
                shutil.copytree(root / inside, site / inside, dirs_exist_ok=True)
        if all((site / path).exists() for path in project.tests):
            root = site
        with tempfile.TemporaryDirectory(prefix="gccllm-tests-") as empty:
            # The built package, not the tree that the tests lie in: hence elsewhere, and `append`.
            argv = [str(self.python), "-m", "pytest", "-q", "--import-mode=append", "-p", "no:cacheprovider",
                    f"--rootdir={root}", f"--junitxml={report}", *chosen,
                    *(str(root / path) for path in project.tests)]  # fmt: skip
            ran = subprocess.run(
                argv, cwd=empty, env=built_at(site, env), capture_output=True, text=True, timeout=TEST_S, check=False
            )
        if ran.returncode not in (0, 1) or not report.exists():  # 1: a test failed; more: pytest did not come so far
            raise BuildFailed(f"pytest: exit {ran.returncode}: {(ran.stdout + ran.stderr)[-2000:]}")
        return read_junit(report)


def prepare_python(projects: Sequence[Project], work: Path) -> Path:
    """An environment that has what the builds and the tests of the projects need; its interpreter."""
    place = work / "python"
    python = place / "bin" / "python"
    if not python.exists():
        run_tool([sys.executable, "-m", "venv", str(place)])
    needs = sorted({"setuptools", "wheel", "pytest", *(name for project in projects for name in project.needs)})
    run_tool([str(python), "-m", "pip", "install", "-q", "-U", *needs], deadline_s=BUILD_S)
    return python


def read_junit(report: Path) -> dict[str, str]:
    """Test to outcome. Parameters are numbered, because their names may hold random data."""
    found: dict[str, str] = {}
    number: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        name = f"{case.get('classname')}::{str(case.get('name')).partition('[')[0]}"
        number[name] += 1
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{name} {number[name]}"] = outcome
    return found


# --- a source package of Debian -----------------------------------------------------------------------------------


class Make:
    """By shell lines in a copy of the tree as its authors released it, without Debian's patches."""

    def __init__(self, project: Project, recipe: Recipe) -> None:
        self.project = project
        self.recipe = recipe

    def fetch(self, archives: Path) -> Path:
        for tool in ("apt-get", *self.recipe.tools):
            if shutil.which(tool) is None:
                raise BuildFailed(f"{self.project} wants {tool}")
        unpacked = archives / f"{self.project}.unpacked"
        if not unpacked.exists():
            place = archives / self.project.package
            place.mkdir(parents=True, exist_ok=True)
            download_source(self.project.package, place)
            archive = next(p for p in sorted(place.iterdir()) if re.search(r"\.orig\.tar\.\w+$", p.name))
            unpack(archive, unpacked)
        return next(p for p in sorted(unpacked.iterdir()) if p.is_dir())

    def build(self, root: Path, site: Path, env: Mapping[str, str]) -> None:
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(root, site)
        for line in self.recipe.build:
            done = self._shell(line, site, env, BUILD_S)
            if done.returncode:
                raise BuildFailed(f"{line}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")

    def own_tests(self, root: Path, site: Path, env: Mapping[str, str]) -> dict[str, str]:
        """A line is a test; one whose output names tests is as many."""
        found: dict[str, str] = {}
        for line in self.recipe.tests:
            done = self._shell(line, site, env, TEST_S)
            named = re.findall(self.recipe.named, done.stdout, re.MULTILINE) if self.recipe.named else []
            for name, word in named:
                found[f"{line}: {name}"] = "passed" if word.lower() == "ok" else "failed"
            if not named or done.returncode:
                found[line] = "failed" if done.returncode else "passed"
        return found

    def _shell(self, line: str, site: Path, env: Mapping[str, str], limit_s: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["bash", "-c", f"set -eo pipefail; {line}"], cwd=site, env=dict(env), stdin=subprocess.DEVNULL,
                capture_output=True, encoding="utf-8", errors="replace", timeout=limit_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BuildFailed(f"{line}: {error}") from error


def download_source(package: str, place: Path) -> None:
    """Debian's source package into a folder, from where the system has its packages; the system is left as it is."""
    said = run_tool(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    if not (mirrors := sorted(set(said.splitlines()))):
        raise BuildFailed("apt has no lists: run 'apt-get update' first")
    lists, sources = place / "lists", place / "sources.list"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    sources.write_text("".join(f"deb-src {mirror}\n" for mirror in mirrors))
    apt = ("apt-get", "-q", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::lists={lists}", "-o", "Debug::NoLocking=1")  # fmt: skip
    run_tool([*apt, "update"])
    done = subprocess.run([*apt, "source", "--download-only", package], cwd=place, capture_output=True, text=True,
                          timeout=BUILD_S, check=False)  # fmt: skip
    if done.returncode:
        raise BuildFailed(f"apt-get source {package}: {done.stderr.strip()[-500:]}")
    shutil.rmtree(lists)
