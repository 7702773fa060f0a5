"""A small upstream in the shape of OpenAI's API, and what a test can ask about what came to it.

upstream = Behind()
upstream.app                  # an ASGI application: POST /v1/chat/completions, GET /v1/models
upstream.says = call("move", source="a")      # what it answers from now on; or text, or a status
upstream.came                 # (headers, body) of all requests
"""

import asyncio
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}


def calls(name: str, key: str = "call_upstream", **arguments: Any) -> dict[str, Any]:
    """An assistant's message that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": key, "type": "function", "function": function}]}


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


class Behind:
    """pause: seconds between the events of a stream. breaks: whether it ends its streams in the middle."""

    def __init__(self, pause: float = 0.0) -> None:
        self.says: dict[str, Any] = says("That is done.")
        self.status, self.pause, self.breaks = 200, pause, False
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.gone = 0
        routes = [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/embeddings", self.embeddings, methods=["POST"]),
            Route("/v1/models", self.models),
        ]
        self.app = Starlette(routes=routes)

    async def chat(self, request: Request) -> Response:
        raw = await request.body()
        self.came.append((dict(request.headers), raw))
        if self.status != 200:
            return JSONResponse({"error": {"message": "no", "type": "x"}}, self.status, {"retry-after": "7"})
        try:
            body = dict(json.loads(raw))
        except (ValueError, RecursionError):
            return JSONResponse({"error": {"message": "not JSON"}}, 400)
        head = {"id": "chatcmpl-1", "created": 1, "model": "big"}
        finish = "tool_calls" if self.says.get("tool_calls") else "stop"
        if not body.get("stream"):
            if self.pause:
                await asyncio.sleep(self.pause)
            choice = {"index": 0, "message": self.says, "finish_reason": finish}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE}
            return Response(json.dumps(whole, indent=1), headers={"x-request-id": "r1"}, media_type="application/json")
        return StreamingResponse(self.events(head, finish), media_type="text/event-stream")

    async def events(self, head: dict[str, Any], finish: str) -> Any:
        deltas: list[dict[str, Any]] = [{"role": "assistant"}]
        for number, call in enumerate(self.says.get("tool_calls", ())):
            deltas.append({"tool_calls": [{"index": number, **call}]})
        deltas += [{"content": word} for word in (self.says.get("content") or "").split(" ")]
        try:
            for number, delta in enumerate(deltas):
                choice = {"index": 0, "delta": delta, "finish_reason": None}
                yield f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
                await asyncio.sleep(self.pause)
                if self.breaks and number:
                    raise RuntimeError("broken off")
            last = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": USAGE}
            yield f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', **last})}\n\n"
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.gone += 1
            raise

    async def embeddings(self, request: Request) -> Response:
        self.came.append((dict(request.headers), await request.body()))
        return JSONResponse({"data": []})

    async def models(self, request: Request) -> Response:
        self.came.append((dict(request.headers), b""))
        return JSONResponse({"object": "list", "data": [{"id": "big", "object": "model"}]})
