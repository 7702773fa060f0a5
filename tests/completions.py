"""A completions server of toys that speaks as vLLM 0.32 does: the fields were taken from its real answers.

    wire = httpx.ASGITransport(completions_app({"cheap": model}))

It writes greedily behind token ids and tells what it is asked about. benchmarks/remote_engine.py asks the real one.
"""

from typing import Any

import torch
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from specacts.answering.session import Session


def completions_app(models: dict[str, torch.nn.Module], **refusing: bool) -> FastAPI:
    """refusing: what it does not know, as other servers do not: `told` (log-probabilities of given tokens) or
    `numbers` (tokens by their numbers); `adds` puts a token of its own before the prompt."""
    app = FastAPI()

    @app.get("/v1/models")
    def names() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in models]}

    @app.post("/v1/completions")
    def complete(body: dict[str, Any]) -> Any:
        if body["model"] not in models:
            return JSONResponse({"error": {"message": "no such model", "type": "NotFoundError"}}, 404)
        ids, stop, about = body["prompt"], body["stop_token_ids"], body.get("logprob_token_ids", [])
        ids = [ids[0], *ids] if refusing.get("adds") else ids
        name = "word {}" if refusing.get("numbers") else "token_id:{}"
        session, written, values, tables = Session(models[body["model"]]), [], [], []
        scores = session.extend(ids, [len(ids) - 1])[0]
        while len(written) < body["max_tokens"] and not (written and written[-1] in stop):
            token = int(scores.argmax())
            asked = [token] if refusing.get("told") else [token, *about]
            written.append(token)
            values.append(scores[token].item())
            tables.append({name.format(one): scores[one].item() for one in asked})
            scores = session.extend([token], [session.length])[0]
        told = {"tokens": [name.format(one) for one in written], "token_logprobs": values, "top_logprobs": tables}
        ended = "stop" if written[-1] in stop else "length"
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(written), "prompt_tokens_details": None}
        choice = {"index": 0, "text": "", "logprobs": told, "finish_reason": ended}
        return {"id": "cmpl-1", "object": "text_completion", "choices": [choice], "usage": usage}

    return app
