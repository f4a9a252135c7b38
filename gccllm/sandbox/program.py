"""Where the replayer program is: installed, or built from the packaged source on first use."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import platformdirs

from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import run

_NATIVE = Path(__file__).parent / "native"


def replayer_path() -> Path:
    """The installed replayer, or one built from the packaged source into the user's cache directory."""
    homes = [Path(sys.prefix), Path(sysconfig.get_path("scripts")).parent, Path(sys.argv[0]).resolve().parent.parent]
    newest = max(path.stat().st_mtime for path in _NATIVE.iterdir())
    for home in homes:
        installed = home / "libexec" / "gccllm" / "replay"
        # In a checkout the sources may be newer than what was installed; an installation writes both at once.
        if os.access(installed, os.X_OK) and installed.stat().st_mtime + 120 > newest:
            return installed
    return _built()


def cache_directory() -> Path:
    return Path(os.environ.get("GCCLLM_CACHE_DIR") or platformdirs.user_cache_dir("gccllm"))


def _built() -> Path:
    sources = {path.name: path.read_bytes() for path in sorted([*_NATIVE.glob("*.h"), _NATIVE / "replay.c"])}
    key = hashlib.sha256(b"".join(sources.values())).hexdigest()[:16]
    program = cache_directory() / "bin" / key / "replay"
    if os.access(program, os.X_OK):
        return program
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(dir=program.parent))
        for name, content in sources.items():  # what was hashed is what is built
            (room / name).write_bytes(content)
    except OSError as error:
        raise Decline(Reason.SANDBOX_UNAVAILABLE, f"no place for the replayer: {error}") from error
    flags = ["-std=gnu17", "-O2", "-fPIE", "-static-pie", "-fno-stack-protector", "-fcf-protection=none"]
    ran = run([shutil.which("gcc") or "gcc", *flags, "-o", str(room / "made"), str(room / "replay.c"), "-lm"])
    if ran.ok:
        os.replace(room / "made", program)
    shutil.rmtree(room, ignore_errors=True)
    if not ran.ok:
        raise Decline(Reason.SANDBOX_UNAVAILABLE, f"the replayer does not build: {ran.err[:300]}")
    return program
