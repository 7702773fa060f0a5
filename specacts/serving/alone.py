"""One of the bundle's own models as a plain OpenAI chat server: `specacts serve --model strong`.

    server = Alone(settings, bundle, "strong", engine)      # engine: `engine_of(bundle, "strong")`
    app(server)

A local strong model can so stand behind a gateway, or an agent can talk to either model by itself. It takes every
action that the model proposes; text of it that is no well-formed action is the answer as it is, as chat servers do.
Requests that are not understood get an error that says why: there is nobody to pass them on to. So do those whose
`tool_choice` forbids what the model proposes: it was trained to choose, and cannot be told to.
"""

from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from specacts.answering.records import Candidate
from specacts.core.words import ActionType, Role
from specacts.recipe import freezes
from specacts.serving.answers import completion, message_of, words_of
from specacts.serving.bundle import Bundle, Offer
from specacts.serving.checks import allows
from specacts.serving.conversations import Conversations
from specacts.serving.engine import MEMORY, Engine, EngineBusy, EngineFailed
from specacts.serving.requests import Asked, NotOurs
from specacts.serving.web import (
    CHAT,
    Settings,
    admit,
    as_json,
    as_response,
    body_in,
    body_of,
    fingerprint,
    given_name,
    messages_in,
    reading,
    refused,
    unless_gone,
    used_by,
)

ALWAYS = Offer(policy="B", threshold=None, risk=None, watched=None, taken=1.0, cost=1.0)
"""Whatever is proposed is done."""


def engine_of(bundle: Bundle, role: Role, memory: int = MEMORY) -> Engine:
    """An engine whose proposing model is the one of a role, asked in that role's form."""
    form = {"format": "mismatched"} if freezes(bundle.recipe, role) else {}
    swapped = {"models": {"cheap": bundle.models[role]}, "recipe": bundle.recipe.model_copy(update=form)}
    return Engine(bundle.model_copy(update=swapped).at(bundle.folder), ALWAYS, memory)


class Alone:
    """A model that answers everything that it understands."""

    def __init__(self, settings: Settings, bundle: Bundle, role: Role, engine: Engine) -> None:
        self.settings, self.role, self.engine = settings, role, engine
        self.reading, self.made_by = reading(bundle), fingerprint(bundle)
        self.conversations = Conversations()

    async def complete(self, request: Request) -> Response:
        """Answer a request for a chat completion."""
        value = body_in(await body_of(request, self.settings.largest))
        if value is None:
            raise HTTPException(400, "the body is no JSON object")
        try:
            place = self.conversations.place(messages_in(value), given_name(request, value))
            asked = self.reading.read(value, place)
            self.conversations.asked(place, tuple(tool.name for tool in asked.episode.tools))
            decided = await unless_gone(request, self.engine.decide(asked.episode))
        except NotOurs as error:
            raise HTTPException(400, f"the model here was not trained for such requests: {error.reason}") from error
        except RecursionError as error:
            raise HTTPException(400, "the body is nested too deeply") from error
        except EngineBusy as error:
            raise HTTPException(429, "too many requests wait already", {"retry-after": "1"}) from error
        except EngineFailed as error:
            raise HTTPException(500, f"the model gave no answer: {error}") from error
        if decided is None:
            return Response(status_code=499)
        assert decided.proposal is not None
        message, kind, headers = answer_of(decided.proposal, asked)
        self.conversations.answered(place, message, kind, None)
        finish = "length" if headers.get("x-specacts-reason") == "max_tokens" else None
        used = used_by("cheap", decided)
        whole = completion(message, str(value.get("model") or ""), used, self.made_by, finish)
        return as_response(value, whole, {"x-specacts-actor": self.role, **headers})


def answer_of(proposal: Candidate, asked: Asked) -> tuple[dict[str, Any], ActionType | None, dict[str, str]]:
    """The message, the type of its action, and headers that say so. Raises `HTTPException` where it is forbidden."""
    action = proposal.action
    if asked.most_tokens is not None and proposal.taken_tokens > asked.most_tokens:
        return nothing_but(""), None, {"x-specacts-reason": "max_tokens"}
    if action is None:
        return nothing_but(proposal.text), None, {"x-specacts-reason": "malformed"}
    if not allows(asked.choice, action):
        chose = action.tool or action.type
        raise HTTPException(400, f"tool_choice: the model here chooses by itself, and chose {chose}; leave it out")
    return message_of(action, words_of(proposal)), action.type, {"x-specacts-type": action.type}


def nothing_but(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "refusal": None}


def app(server: Alone) -> FastAPI:
    """The application: chat completions, the list of its one model, and whether it is alive."""
    made = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    made.add_exception_handler(HTTPException, refused)

    @made.get("/healthz")
    async def healthz() -> Response:
        return Response(as_json({"status": "ok", "model": server.role}), media_type="application/json")

    @made.get("/v1/models")
    async def models(request: Request) -> Response:
        admit(request, server.settings)
        model = {"id": server.role, "object": "model", "created": 0, "owned_by": "specacts"}
        return Response(as_json({"object": "list", "data": [model]}), media_type="application/json")

    @made.post(f"/v1{CHAT}")
    async def complete(request: Request) -> Response:
        admit(request, server.settings)
        return await server.complete(request)

    return made
