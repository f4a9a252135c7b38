"""From a language model's answer to a candidate."""

from __future__ import annotations

from gccllm.base.core import Candidate, Decline
from gccllm.base.deadline import Deadline
from gccllm.propose import c_dialect, prompt_text
from gccllm.propose.protocol import Failure, Prompt


def to_candidate(text: str, prompt: Prompt, recipe: str, deadline: Deadline) -> Candidate | Failure:
    """The candidate in an answer, or why there is none. Runs gcc for the `c` dialect."""
    try:
        answer = prompt_text.parse_answer(text)
        if answer.dialect == "asm":
            return Candidate(prompt_text.bare_body(answer.code, prompt.function), "model", recipe, "asm", answer.code)
        body = c_dialect.compile_answer(answer.code, prompt, deadline_s=min(20.0, deadline.left))
        return Candidate(body, "model", recipe, "c", answer.code)
    except Decline as decline:
        return Failure(decline.reason, decline.detail, text[: prompt_text.MAX_CODE])
