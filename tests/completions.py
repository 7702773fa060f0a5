"""A completions server of toys that speaks as vLLM 0.32 does: the fields were taken from its real answers.

    wire = httpx.ASGITransport(completions_app({"cheap": model}))
    wire = httpx.MockTransport(handler({"cheap": model}))                 # for who asks without asyncio

It continues token ids, greedily or by drawing, and tells what it is asked about. What a real server answers:
benchmarks/remote_engine.py, benchmarks/served_answers.py.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx
import torch
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from specacts.answering.session import Session

Models = dict[str, torch.nn.Module]


def completions_app(models: Models, **refusing: bool) -> FastAPI:
    """refusing: as in `completed`."""
    app = FastAPI()

    @app.get("/v1/models")
    def names() -> dict[str, Any]:
        return listed(models)

    @app.post("/v1/completions")
    def complete(body: dict[str, Any]) -> Any:
        status, answer = completed(models, body, **refusing)
        return JSONResponse(answer, status)

    return app


def handler(models: Models, **refusing: bool) -> Callable[[httpx.Request], httpx.Response]:
    """The same, as a function of requests."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json=listed(models))
        status, found = completed(models, json.loads(request.content), **refusing)
        return httpx.Response(status, json=found)

    return answer


def listed(models: Models) -> dict[str, Any]:
    entries = [{"id": name, "object": "model", "root": name, "max_model_len": 4096} for name in models]
    return {"object": "list", "data": entries}


def completed(models: Models, body: dict[str, Any], **refusing: bool) -> tuple[int, dict[str, Any]]:
    """Status and answer. refusing: what it does not know, as other servers do not: `told` (log-probabilities of given
    tokens) or `numbers` (tokens by their numbers); `adds` puts a token of its own before the prompt."""
    if body["model"] not in models:
        return 404, {"error": {"message": "no such model", "type": "NotFoundError"}}
    ids = [body["prompt"][0], *body["prompt"]] if refusing.get("adds") else body["prompt"]
    model, count, seed = models[body["model"]], body.get("n", 1), body.get("seed", 0)
    choices = [{"index": n, **_written(model, ids, body, seed + n, refusing)} for n in range(count)]
    written = sum(len(choice["logprobs"]["tokens"]) for choice in choices)
    usage = {"prompt_tokens": len(ids), "completion_tokens": written, "prompt_tokens_details": None}
    return 200, {"id": "cmpl-1", "object": "text_completion", "choices": choices, "usage": usage}


def _written(
    model: torch.nn.Module, ids: list[int], body: dict[str, Any], seed: int, refusing: dict[str, bool]
) -> dict[str, Any]:
    stop, about, heat = body["stop_token_ids"], body.get("logprob_token_ids", []), body["temperature"]
    name = "word {}" if refusing.get("numbers") else "token_id:{}"
    drawing = torch.Generator().manual_seed(seed)
    session, written, values, tables = Session(model), [], [], []
    scores = session.extend(ids, [len(ids) - 1])[0]
    while len(written) < body["max_tokens"] and not (written and written[-1] in stop):
        masked = scores
        if allowed := body.get("allowed_token_ids"):
            masked = torch.full_like(scores, -torch.inf)
            masked[allowed] = scores[allowed]
        token = int(masked.argmax())
        if heat:
            token = int(torch.multinomial((masked / heat).softmax(dim=0), 1, generator=drawing))
        asked = [token] if refusing.get("told") else [token, *about]
        written.append(token)
        values.append(scores[token].item())
        tables.append({name.format(one): scores[one].item() for one in asked})
        scores = session.extend([token], [session.length])[0]
    told = {"tokens": [name.format(one) for one in written], "token_logprobs": values, "top_logprobs": tables}
    return {
        "text": "",
        "logprobs": told,
        "finish_reason": "stop" if written[-1] in stop else "length",
        "prompt_logprobs": None,
    }
