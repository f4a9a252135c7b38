"""One line for `gccllm doctor`: can the model that the settings name be used?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class _Settings(Protocol):
    def __getitem__(self, name: str) -> Any: ...


def check(settings: _Settings) -> tuple[str, str]:
    """(`ok`, `warn` or `fail`, a sentence with the next step). Loads the model, or asks the server for its list."""
    if "model" not in settings["proposers"]:
        return "ok", "not used: GCCLLM_PROPOSERS does not name it"
    if settings["endpoint"]:
        return _check_endpoint(str(settings["endpoint"]))
    from gccllm.propose.llama import Gguf, ModelError
    from gccllm.propose.model import BUILTIN, TOKENS, load_tokens

    path = Path(settings["model"]) if settings["model"] else BUILTIN
    try:
        model = Gguf(path)
        kind = "asked in words"
        if path.with_name(TOKENS).is_file() or path == BUILTIN:
            load_tokens(path.with_name(TOKENS))
            kind = "speaks our tokens"
    except ModelError as error:
        return "warn", f"{error}; the recompile proposer works without it"
    size = path.stat().st_size / 1e6
    model.close()
    return "ok", f"{path}: {size:.1f} MB, context {model.context}, {kind}"


def _check_endpoint(url: str) -> tuple[str, str]:
    from gccllm.propose.endpoint import EndpointError, models

    try:
        names = models(url)
    except EndpointError as error:
        return "warn", f"{url}: {error}; is the server running? (`gccllm serve`)"
    return "ok", f"{url} serves {', '.join(names[:4]) or 'no model'}"
