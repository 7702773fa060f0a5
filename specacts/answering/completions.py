"""The wire format of a completions server that reads token ids and tells log-probabilities of tokens by their numbers.

    answer = server.ask(body("cheap", ids, about=nine, most=64, stop=stop))
    (found,) = said(answer, nine, stop)
    found.ids, found.asked

vLLM speaks it (`/v1/completions`). Prompts are token ids, so that a model reads what it was trained on, token for
token. Nothing is left to the server's defaults: those may come from the model's `generation_config.json`, whose top_k
or repetition penalty would change what is proposed. Stages ask by `Server`, the gateway by serving/remote.py.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from specacts.core.errors import UserError

PREFIX = "token_id:"
"""How a server names a token by its number where it is asked to (`return_tokens_as_token_ids`)."""
PLAIN = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "ignore_eos": True,
    "add_special_tokens": False,
    "skip_special_tokens": False,
    "return_tokens_as_token_ids": True,
}
"""The whole distribution as it is, and tokens as they are."""
TIMEOUT, CONNECTING = 600.0, 10.0
"""Seconds that an answer may take, a busy server's queue included; and until a server is reached at all."""
TRIES, LONGEST_WAIT = 8, 30.0
"""So often is asked, and so many seconds are waited at most between two tries: a minute and a half in all."""
BUSY = (408, 429, 500, 502, 503, 504)
"""Answers after which the same question may be answered a little later."""


class Said(NamedTuple):
    """What a server wrote behind a prompt, and what it tells of the first place.

    ids, logprobs: of the tokens that it wrote, at temperature 1. asked: log-probability of each token that was asked
    about, at the first place. read, cached: tokens of the prompt, and how many of them were in the server's cache,
    where it says so.
    """

    ids: list[int]
    logprobs: list[float]
    asked: dict[int, float]
    read: int
    cached: int


def body(
    model: str,
    ids: Sequence[int],
    stop: int,
    about: Sequence[int] = (),
    most: int = 1,
    temperature: float = 0.0,
    count: int = 1,
    seed: int | None = None,
    allowed: Sequence[int] = (),
) -> dict[str, Any]:
    """Ask for `count` continuations of `ids`, each until `stop` or `most` tokens.

    about: tokens whose log-probabilities are wanted at the first place. seed: of the first; the others follow it.
    allowed: the only tokens that may be written; none: any. Log-probabilities are those of all tokens even so.
    """
    sent = {"model": model, "prompt": list(ids), "max_tokens": most, "temperature": temperature, "n": count, **PLAIN}
    sent |= {"stop_token_ids": [stop], "logprobs": 1}
    if about:
        sent["logprob_token_ids"] = list(about)
    if allowed:
        sent["allowed_token_ids"] = list(allowed)
    return sent if seed is None else {**sent, "seed": seed}


def said(answer: Any, about: Sequence[int], stop: int) -> list[Said]:
    """A server's continuations, in the order of their draws.

    Raises `KeyError`, `TypeError` or `ValueError` where something is missing.
    """
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    return [_said(choice, answer["usage"], about, stop) for choice in choices]


def _said(choice: Any, usage: Any, about: Sequence[int], stop: int) -> Said:
    told = choice["logprobs"]
    ids = [_number(token) for token in told["tokens"]]
    if choice.get("finish_reason") == "stop" and (not ids or ids[-1] != stop):
        ids.append(stop)  # some servers do not show the token that they stopped at
    first = {_number(token): value for token, value in told["top_logprobs"][0].items()}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    logprobs = [_real(value) for value in told["token_logprobs"]]
    return Said(
        ids=ids,
        logprobs=logprobs + [0.0] * (len(ids) - len(logprobs)),
        asked={token: _real(first[token]) for token in about},
        read=usage["prompt_tokens"],
        cached=cached,
    )


def _number(token: str) -> int:
    if not token.startswith(PREFIX):
        raise ValueError("tokens are told as text, not by their numbers")
    return int(token.removeprefix(PREFIX))


def _real(logprob: Any) -> float:
    if math.isnan(logprob):  # an overflow in the server's arithmetic
        raise ValueError("a log-probability is no number")
    return float(logprob)


class Server:
    """A completions endpoint that threads ask, at most `together` of them at a time.

    where: how errors name it. key: sent as a bearer token. wire: what carries requests; None: the network. pool: for
    questions of several requests, whoever has them: one of each would be thousands of threads.
    """

    def __init__(
        self,
        url: str,
        together: int,
        key: str | None = None,
        wire: httpx.BaseTransport | None = None,
        pause: Callable[[float], Any] = time.sleep,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.url, self.where, self.together, self.pause = url.rstrip("/"), f"engine: {url}", together, pause
        self.room, self.pool = threading.BoundedSemaphore(together), ThreadPoolExecutor(together)
        limits = httpx.Limits(max_connections=together, max_keepalive_connections=together)
        timeout = httpx.Timeout(TIMEOUT, connect=CONNECTING)
        self.client = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout, transport=wire, limits=limits, trust_env=False
        )

    def models(self) -> dict[str, dict[str, Any]]:
        """The models that it serves, by name. Raises httpx's errors, or `KeyError`, `TypeError`, `ValueError`."""
        answered = self.client.get("/models")
        answered.raise_for_status()
        return {one["id"]: one for one in answered.json()["data"]}

    def ask(self, sent: dict[str, Any]) -> Any:
        """Its answer; a busy or restarting server is asked again, and nobody else takes the place meanwhile.

        Raises `UserError` where it gives none.
        """
        with self.room:
            for tries in range(1, TRIES + 1):
                try:
                    answered = self.client.post("/completions", json=sent)
                    answered.raise_for_status()
                    return answered.json()
                except httpx.HTTPStatusError as error:
                    if error.response.status_code not in BUSY or tries == TRIES:
                        raise UserError(f"{self.where}: {refusal(error.response)} ({sent['model']})") from error
                    wait = error.response.headers.get("retry-after", "")
                except httpx.HTTPError as error:
                    if tries == TRIES or isinstance(error, httpx.ReadTimeout):  # it hangs, or works on for nobody
                        what = f"{self.where}: gives no answer ({type(error).__name__}); is it running?"
                        raise UserError(f"{what} The same command goes on from here") from error
                    wait = ""
                self.pause(min(LONGEST_WAIT, float(wait) if wait.isdigit() else 0.5 * 2**tries))
        raise AssertionError("the last try returns or raises")


def refusal(response: httpx.Response) -> str:
    """A status and what the server says of it, in one line."""
    try:
        told = response.json()
        message = told.get("error", told).get("message", "")
    except (ValueError, AttributeError):
        message = ""
    return f"answers {response.status_code}: {' '.join(str(message).split())[:200]}".rstrip(": ")


@contextmanager
def trial(where: str, whose: str) -> Iterator[None]:
    """What a server lacks, in one line, where a trial request fails in this block. whose: the role that it is for."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise UserError(f"{where}: refuses token ids with `logprob_token_ids` for {whose} ({status})") from error
    except httpx.HTTPError as error:
        raise UserError(f"{where}: gives no answer for {whose} ({type(error).__name__})") from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"{where}: does not give log-probabilities by token id for {whose} "
            f"({type(error).__name__}: {error}); vLLM does, from 0.2x on"
        ) from error


def refuse_additions(where: str, found: Said, ids: Sequence[int]) -> None:
    """Raises `UserError` where a server put tokens of its own before a prompt."""
    if found.read != len(ids):
        raise UserError(f"{where}: read {found.read} tokens although {len(ids)} were sent, so it adds its own")
