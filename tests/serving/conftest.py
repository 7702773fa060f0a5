"""The shop of `agents.py` with its models, made once, and gateways in front of a small upstream."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from agents import save_shop, shop_bundle, watching
from bundles import offer
from upstreams import Behind

from specacts.serving.engine import Engine
from specacts.serving.gateway import Gateway, acting, app
from specacts.serving.journal import Journal
from specacts.serving.upstream import Upstream
from specacts.serving.web import Settings


@pytest.fixture(scope="session")
def shop(config, tmp_path_factory):
    torch.set_num_threads(1)
    return shop_bundle(save_shop(tmp_path_factory.mktemp("shop")), config, offers=(offer("F", 0.7),))


@pytest.fixture(scope="session")
def engines(shop) -> Iterator[Any]:
    """The shop's engine by policy and threshold, each made once."""
    made: dict[Any, Engine] = {}

    def engine(policy: str = "F", threshold: float | None = 0.7) -> Engine:
        if (policy, threshold) not in made:
            made[policy, threshold] = Engine(shop, offer(policy, threshold))
        return made[policy, threshold]

    yield engine
    for one in made.values():
        one.close()


class Open:
    """An engine that outlives the gateways which it is lent to; slow or broken where a test says so."""

    def __init__(self, engine: Engine, wait: float = 0.0, raises: Exception | None = None) -> None:
        self.engine, self.wait, self.raises, self.asked = engine, wait, raises, 0

    async def decide(self, *given: Any) -> Any:
        self.asked += 1
        await asyncio.sleep(self.wait)
        if self.raises:
            raise self.raises
        return await self.engine.decide(*given)

    def close(self) -> None:
        pass


class Shop:
    """A gateway without sockets: `ask` sends bodies to it one after another, and gives its answers."""

    def __init__(self, shop: Any, engine: Open, folder: Path, policy: str, threshold: float | None, how: Any) -> None:
        random.seed(0)
        self.behind, self.engine, self.folder = Behind(), engine, folder
        self.upstream = how.pop("upstream", None) or Upstream(
            "http://up/v1", key="sk-of-upstream", wire=httpx.ASGITransport(self.behind.app)
        )
        self.watch = how.pop("watch", None) or watching(folder)
        self.journal = Journal(folder / "logs") if how.pop("logs", False) else None
        never = how.pop("never", ())
        now = acting(shop, offer(policy, threshold), engine, self.watch, never)
        self.gateway = Gateway(Settings(**{"audit": 0.0, **how}), self.upstream, now, self.journal, folder)
        self.wire = httpx.ASGITransport(app(self.gateway), raise_app_exceptions=False)

    def ask(self, *bodies: Any, query: str = "", **headers: str) -> list[httpx.Response]:
        """Bodies are JSON, or bytes; the gateway has ended when the answers are there."""
        return asyncio.run(self._ask(bodies, query, headers))

    async def _ask(self, bodies: Any, query: str, headers: dict[str, str]) -> list[httpx.Response]:
        client = httpx.AsyncClient(transport=self.wire, base_url="http://localhost", headers=headers)
        found = []
        for body in bodies:
            sent = {"content": body} if isinstance(body, bytes) else {"json": body}
            found.append(await client.post(f"/v1/chat/completions{query}", **sent))
        self.metrics = self.gateway.metrics().decode()
        await self.gateway.close()
        self.metrics = self.gateway.metrics().decode()
        return found

    def directly(self, body: Any) -> httpx.Response:
        """What upstream answers to who asks it itself."""

        async def ask() -> httpx.Response:
            client = httpx.AsyncClient(transport=httpx.ASGITransport(self.behind.app), base_url="http://up")
            return await client.post("/v1/chat/completions", json=body)

        return asyncio.run(ask())

    def get(self, path: str, **headers: str) -> httpx.Response:
        async def get() -> httpx.Response:
            client = httpx.AsyncClient(transport=self.wire, base_url="http://localhost", headers=headers)
            return await client.get(path)

        return asyncio.run(get())


@pytest.fixture
def serving(shop, engines, tmp_path):
    """Makes a `Shop`; wait, raises: of the cheap model."""

    def make(policy: str = "F", threshold: float | None = 0.7, wait: float = 0.0, raises=None, **how: Any) -> Shop:
        return Shop(shop, Open(engines(policy, threshold), wait, raises), tmp_path, policy, threshold, how)

    return make
