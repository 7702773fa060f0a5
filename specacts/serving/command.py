"""`specacts serve` as it is typed: options, and what they stand for. The server is imported when it is run."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from specacts.core.errors import UserError

BUNDLE = Path("models/policy")


class As(StrEnum):
    """Who acts."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Alone(StrEnum):
    """A model that can be served by itself."""

    CHEAP = "cheap"
    STRONG = "strong"


def serve(
    bundle: Annotated[
        Path, typer.Argument(help="The folder of a bundle (a policy ready to be served), or the folder above it.")
    ] = BUNDLE,
    upstream: Annotated[
        str | None, typer.Option(help="Your model's API: its address, including /v1. Its key is read from --key-env.")
    ] = None,
    mode: Annotated[
        As, typer.Option(help="observe: upstream always acts; what the cheap model would have done is logged with it.")
    ] = As.ENFORCE,
    share: Annotated[
        str, typer.Option(help="The part of the conversations in which the cheap model may act, such as 10%.")
    ] = "100%",
    risk: Annotated[
        float | None,
        typer.Option(
            help="Act by the promise for this risk, such as 0.1. Default: acceptance.risk, or the smallest possible."
        ),
    ] = None,
    audit: Annotated[
        str, typer.Option(help="The part of the cheap model's actions that are checked by asking upstream as well.")
    ] = "5%",
    never: Annotated[
        list[str] | None,
        typer.Option(help="A tool that the cheap model must never call, or a pattern such as 'delete_*'; repeatable."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on. Anything other than this machine needs --token-env.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0: any free port.", min=0, max=65535)] = 8484,
    key_env: Annotated[
        str,
        typer.Option(
            help="The environment variable that holds upstream's key. If unset, the client's key is passed on."
        ),
    ] = "OPENAI_API_KEY",
    token_env: Annotated[
        str | None,
        typer.Option(help="The environment variable that holds the token that clients must send as their API key."),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept other machines without a token.")] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for the cheap model; then upstream acts.", min=0.01)
    ] = 10.0,
    upstream_timeout: Annotated[
        float, typer.Option(help="Seconds to wait while upstream sends nothing.", min=0.01)
    ] = 600.0,
    state: Annotated[
        Path, typer.Option(help="The folder for what must survive a restart: evidence on the promise, and logs.")
    ] = Path(".work/serve"),
    log_dir: Annotated[Path | None, typer.Option(help="The folder for logs. Default: logs in --state.")] = None,
    log_share: Annotated[str, typer.Option(help="The part of the conversations that is logged; 0%: none.")] = "100%",
    log_days: Annotated[int, typer.Option(help="Days to keep logs.", min=1)] = 30,
    memory: Annotated[float, typer.Option(help="Gigabytes for the models' caches of conversations.", min=0)] = 1.0,
    engine: Annotated[
        str | None,
        typer.Option(
            help="The address of a server that runs the bundle's models, such as vLLM. Default: this process runs them."
        ),
    ] = None,
    engine_model: Annotated[
        list[str] | None, typer.Option(help="The server's name for a model, such as cheap=NAME; repeatable.")
    ] = None,
    engine_key_env: Annotated[
        str | None, typer.Option(help="The environment variable that holds that server's key.")
    ] = None,
    trust_again: Annotated[
        bool, typer.Option("--trust-again", help="Let the cheap model act again after a stop; evidence starts afresh.")
    ] = False,
    model: Annotated[
        Alone | None, typer.Option(help="Only serve this model of the bundle, as a plain chat server.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more, on stderr.")] = False,
) -> None:
    """Let the cheap model act for your agent where the policy allows it; the model behind --upstream does the rest.

    Point your agent's base_url at the address that is printed. Every answer's headers say who acted, and why.
    """
    names = _names(engine_model or [])
    values: dict[str, Any] = {
        "key": _secret(key_env, needed=False),
        "token": _secret(token_env, needed=True),
        "engine_key": _secret(engine_key_env, needed=True),
        "share": _part("--share", share),
        "audit": _part("--audit", audit),
        "log_share": _part("--log-share", log_share),
    }
    from specacts.serving.run import Options
    from specacts.serving.run import serve as run

    run(
        Options(
            bundle=bundle,
            upstream=upstream,
            model=model.value if model else None,
            host=host,
            port=port,
            risk=risk,
            mode=mode.value,
            never=tuple(never or ()),
            timeout=timeout,
            upstream_timeout=upstream_timeout,
            insecure=insecure,
            state=state,
            log_dir=log_dir,
            log_days=log_days,
            memory=int(memory * (1 << 30)),
            engine=engine,
            engine_names=names,
            trust_again=trust_again,
            verbose=verbose,
            **values,
        )
    )


def _part(option: str, text: str) -> float:
    """A share, as `10%` or `0.1`."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"{option} {text!r}: is not a share; write 10% or 0.1")
    return value


def _secret(name: str | None, needed: bool) -> str | None:
    """What an environment variable holds; empty is unset."""
    value = os.environ.get(name, "").strip() if name else ""
    if name and needed and not value:
        raise UserError(f"{name}: is not set or is empty; export it before you start the gateway")
    return value or None


def _names(given: list[str]) -> Any:
    found = dict(one.partition("=")[::2] for one in given)
    for role, name in found.items():
        if role not in ("cheap", "verifier") or not name:
            raise UserError(f"--engine-model {role}={name}: should be cheap=NAME or verifier=NAME")
    return found
