"""Lines for `gccllm doctor`: can the model that the settings name be loaded, and does it answer?

Covered: a file that is not there, is damaged or is of another model than the vocabulary beside it, weights that are not
numbers, an answer to one small prompt of ours. Not covered: whether the answers are any good (`gccllm bench`).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

from gccllm.base.deadline import Deadline


class _Settings(Protocol):
    def __getitem__(self, name: str) -> Any: ...


SCALAR = "\txorl\t%eax, %eax\n\tret\n"
"""The smallest prompt: `int f(void) { return 0; }`."""
ANSWER_S = 10.0


def check(settings: _Settings) -> tuple[str, str]:
    """(`ok`, `warn` or `fail`, a sentence with the next step). Loads the model, or asks the server for its list."""
    if "model" not in settings["proposers"]:
        return "ok", "not used: GCCLLM_PROPOSERS does not name it"
    if settings["endpoint"]:
        return _check_endpoint(str(settings["endpoint"]))
    from gccllm.propose.llama import Gguf, ModelError
    from gccllm.propose.model import BuiltinProposer, model_proposer

    path = _path(settings)
    proposer = model_proposer(str(settings["model"]))
    try:
        if isinstance(proposer, BuiltinProposer):
            context, kind = proposer.load()[0].context, "its vocabulary matches"
            proposer.close()
        else:
            model = Gguf(path)
            context, kind = model.context, "asked in words"
            model.close()
    except ModelError as error:
        return "warn", f"{error}; the recompile proposer works without it"
    return "ok", f"{path}: {path.stat().st_size / 1e6:.1f} MB, context {context}, {kind}"


def check_answer(settings: _Settings) -> tuple[str, str]:
    """The same, by asking: one answer of the built-in model to `SCALAR`. No other model is asked: they are slow."""
    from gccllm.propose.llama import ModelError
    from gccllm.propose.model import BuiltinProposer, model_proposer

    if "model" not in settings["proposers"] or settings["endpoint"]:
        return "ok", "not asked"
    proposer = model_proposer(str(settings["model"]))
    if not isinstance(proposer, BuiltinProposer):
        return "ok", "not asked: a model that is asked in words takes its time"
    started = time.monotonic()
    try:
        said = first_answer(proposer)
    except (ModelError, ValueError, LookupError) as error:
        return "warn", f"{error}; the recompile proposer works without it"
    finally:
        proposer.close()
    return "ok", f"`{said[:60]}` in {time.monotonic() - started:.2f} s"


def first_answer(proposer: Any) -> str:
    """The likeliest answer to `SCALAR`, as C. Raises ModelError, or ValueError for ids that make no text."""
    from gccllm.propose.beam import Wanted
    from gccllm.propose.constrain import Constraint
    from gccllm.propose.llama import ModelError
    from gccllm.propose.protocol import Prompt
    from gccllm.propose.signature import CSignature

    model, tokens = proposer.load()
    prompt = Prompt("f", SCALAR, SCALAR, types=CSignature("i32", ()))
    constraint = Constraint.of(tokens, prompt.types, 0)
    answers = model.likeliest(tokens.encode_prompt(prompt), Wanted(1, tokens.end, 64, Deadline(ANSWER_S), constraint))
    if not answers:
        raise ModelError("the model says nothing")
    return str(tokens.decode_answer(answers[0].ids, prompt))


def _path(settings: _Settings) -> Path:
    from gccllm.propose.model import BUILTIN

    return Path(settings["model"]) if settings["model"] else BUILTIN


def _check_endpoint(url: str) -> tuple[str, str]:
    from gccllm.propose.endpoint import EndpointError, models

    try:
        names = models(url)
    except EndpointError as error:
        return "warn", f"{url}: {error}; is the server running? (`gccllm serve`)"
    return "ok", f"{url} serves {', '.join(names[:4]) or 'no model'}"
