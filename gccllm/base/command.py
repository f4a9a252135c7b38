"""Running a user's command as if we were not there: `gccllm profile` and `gccllm record`."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence


def run_through(
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    say: Callable[[str], None],
    settle: Callable[[], object] = lambda: None,
) -> int:
    """Run to the end with our own standard streams; the exit status as a shell reports it.

    Ctrl-C is the command's business; we stay to keep what was found. `settle` runs in the child before the command;
    `say` gets the line about one that cannot be started (126).
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def begin() -> None:
        signal.signal(signal.SIGINT, before)
        settle()

    try:
        code = subprocess.Popen(argv, env=env, preexec_fn=begin).wait()
    except OSError as error:
        say(f"{argv[0]}: {error.strerror}")
        return 126
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code
