"""Debian releases as directories to change root into, made by debootstrap, with gcc-llm installed in them.

Where packages come from is the host's own: its apt's mirror (COMPILERS_MIRROR names another one) and proxies, its
certificates. Mounts are made in a namespace that each command has for itself, so none is ever left.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = "/gcc-llm"
"""Where the tree stands in a root."""
NEEDED = ("debootstrap", "unshare", "chroot", "git", "apt-get")
PACKAGES = ("ca-certificates", "gcc", "g++", "make", "cmake", "python3", "python3-venv")
TESTS_NEED = "pytest hypothesis"
LONGEST_S = 3600
CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
_APT = re.compile(r"^Acquire::(?:https?|Check)\S* .*$", re.MULTILINE)
_ENTER = """
root=$1 wheels=$2
shift 2
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mkdir -p "$root/var/cache/wheels"
mount --bind "$wheels" "$root/var/cache/wheels"
exec chroot "$root" env -i "$@"
"""


class Declined(Exception):
    """The release cannot hold gcc-llm, or the gcc is not to be had; says why."""


class Failed(Exception):
    """A step of making a root, or of installing gcc-llm in it, failed."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Debian and the gcc versions to try in it."""

    name: str
    title: str
    gccs: tuple[str, ...]
    older: str = ""
    """The release that lends the versions which this one has not."""


RELEASES = (
    Release("bullseye", "Debian 11", ("9", "10")),
    Release("bookworm", "Debian 12", ("9", "10", "11", "12"), older="bullseye"),
    Release("trixie", "Debian 13", ("12", "13", "14")),
    Release("sid", "Debian unstable", ("14", "15", "16")),
)
"""From the oldest to the newest."""


def output(*argv: str, cwd: Path | None = None) -> str:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True).stdout


def mirror() -> str:
    """Debian's mirror as this machine's apt has it. Raises Failed where it has none."""
    if named := os.environ.get("COMPILERS_MIRROR"):
        return named.rstrip("/")
    lines = output("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages").splitlines()
    if not (found := [line.split()[1] for line in lines if line.startswith("Debian ")]):
        raise Failed("apt knows no Debian mirror, or apt-get update was never run; set COMPILERS_MIRROR=URL")
    return found[0].rstrip("/")


class Root:
    """One release below `work`, with gcc-llm installed from the HEAD of `tree`."""

    def __init__(self, release: Release, work: Path, tree: Path) -> None:
        self.release, self.tree = release, tree
        self.place, self.logs, self.debs = work / "roots" / release.name, work / "logs", work / "debs"
        self.wheels = work / "wheels"
        """What was compiled (llama.cpp takes minutes), a directory a release: good for its C library and newer ones."""
        for directory in (self.place, self.logs, self.debs, self.wheels / release.name):
            directory.mkdir(parents=True, exist_ok=True)
        self.base, self.made, self.installed = (self.place / name for name in (".base", ".made", ".installed"))

    def run(self, script: str, log: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """(status, output) of a shell script in the root; its output goes to logs/`log` as it comes."""
        inside = {
            **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive", "PIP_CERT": f"/{CERTIFICATES}", **(env or {}),
        }  # fmt: skip
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", _ENTER, "sh",
                str(self.place), str(self.wheels), *(f"{name}={value}" for name, value in inside.items()),
                "sh", "-c", script]  # fmt: skip
        path = self.logs / f"{self.release.name}-{log}.txt"
        with path.open("w") as out:
            try:
                code = subprocess.run(
                    argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=LONGEST_S
                ).returncode
            except subprocess.TimeoutExpired:
                code = 124
        return code, path.read_text(errors="replace")

    def step(self, script: str, log: str, env: Mapping[str, str] | None = None) -> str:
        """What a script says. Raises Failed."""
        code, said = self.run(script, log, env)
        if code:
            last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
            raise Failed(f"{log} ended with {code}: {last[:200]}")
        return said

    # --- the root -----------------------------------------------------------------------------------

    def make(self) -> None:
        """The release's base system, apt set up as on the host, and PACKAGES. Raises Failed."""
        if self.made.exists():
            return
        site = mirror()
        if not self.base.exists():
            shutil.rmtree(self.place)
            with (self.logs / f"{self.release.name}-debootstrap.txt").open("w") as log:
                argv = ["debootstrap", "--variant=minbase", f"--cache-dir={self.debs}", "--include=ca-certificates",
                        self.release.name, str(self.place), site]  # fmt: skip
                if code := subprocess.run(argv, stdout=log, stderr=subprocess.STDOUT).returncode:
                    raise Failed(f"debootstrap ended with {code}: see {log.name}")
            self.base.touch()
        own = Path(os.environ.get("SSL_CERT_FILE", f"/{CERTIFICATES}"))
        if own.exists():
            shutil.copyfile(own, self.place / CERTIFICATES)
        apt = self.place / "etc/apt"
        (apt / "apt.conf.d/90host").write_text("\n".join(_APT.findall(output("apt-config", "dump"))) + "\n")
        names = [name for name in (self.release.name, self.release.older) if name]
        (apt / "sources.list").write_text("".join(f"deb {site} {name} main\n" for name in names))
        if self.release.older:  # it gives what is asked of it by name, and what that needs
            pin = f"Package: *\nPin: release n={self.release.older}\nPin-Priority: 400\n"
            (apt / "preferences.d/older").write_text(pin)
        self.step("apt-get -q update", "apt-update")
        self.add(*PACKAGES)
        self.made.touch()

    def add(self, *packages: str) -> None:
        names = " ".join(packages)
        self.step(f"apt-get -qy install --no-install-recommends {names}", f"apt-{packages[0]}")

    def gcc(self, version: str) -> tuple[str, str]:
        """(directory for PATH in which `gcc` is that version, its full version). Raises Declined, Failed."""
        tools = f"/opt/gcc-{version}"
        if self.run(f"apt-cache show gcc-{version}", f"apt-has-{version}")[0]:
            raise Declined(f"no package gcc-{version}")
        if not (self.place / tools[1:] / "gcc").is_symlink():
            self.add(f"gcc-{version}", f"g++-{version}")
            self.step(f"mkdir -p {tools}; for tool in gcc g++ cpp gcc-ar gcc-nm gcc-ranlib; do "
                      f"ln -sf /usr/bin/$tool-{version} {tools}/$tool; done; "
                      f"ln -sf gcc {tools}/cc; ln -sf g++ {tools}/c++", f"tools-{version}")  # fmt: skip
        return tools, self.step(f"{tools}/gcc -dumpfullversion", f"version-{version}").strip()

    # --- gcc-llm in it ------------------------------------------------------------------------------

    def python(self) -> str:
        """The release's own Python. Raises Declined where gcc-llm needs a newer one."""
        version = self.step("python3 -c 'import platform; print(platform.python_version())'", "python").strip()
        least = tomllib.loads((self.tree / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(
            ">="
        )
        if tuple(map(int, version.split(".")[:2])) < tuple(map(int, least.split("."))):
            raise Declined(f"Python {version} (gcc-llm needs {least})")
        return version

    def install(self, commit: str) -> None:
        """The tree of `commit` and gcc-llm made of it, as `make install` does. Raises Failed."""
        if self.installed.exists() and self.installed.read_text() == commit:
            return
        tree = self.place / HERE[1:]
        tree.mkdir(exist_ok=True)
        for old in tree.iterdir():
            if old.name != ".venv":
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        archive = subprocess.run(["git", "archive", commit], cwd=self.tree, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-m", "-C", str(tree)], input=archive, check=True)
        known = [one.name for one in RELEASES[: RELEASES.index(self.release) + 1]]
        found = " ".join(f"/var/cache/wheels/{name}" for name in known if (self.wheels / name).is_dir())
        pip = ".venv/bin/python -m pip -q install"
        lab = f"{pip} --no-deps --no-build-isolation ./gccllm/lab"
        self.step(f"cd {HERE} && make install && {lab} && {pip} {TESTS_NEED}", "install", {"PIP_FIND_LINKS": found})
        for wheel in (self.place / "root/.cache/pip").rglob("*.whl"):
            shutil.copy(wheel, self.wheels / self.release.name)
        self.installed.write_text(commit)
