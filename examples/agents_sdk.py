"""An agent of the OpenAI Agents SDK behind `specacts serve`: streaming, with tools that look at this folder's files.

    specacts serve --upstream https://api.openai.com/v1          # or of a `specacts serve --model strong`
    python examples/agents_sdk.py http://127.0.0.1:8484/v1 "which files are here? show me the README"

Nothing of it knows of specacts but the address. It prints who took each action, as the answers' headers say.
"""

import asyncio
import os
import sys
from pathlib import Path

import httpx2 as httpx  # what the client of openai 3 speaks through
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from agents.exceptions import MaxTurnsExceeded
from openai import AsyncOpenAI

TURNS = 6


@function_tool
def ls(a: bool = False) -> str:
    """List the files of the current folder.

    Args:
        a: Show hidden ones too.
    """
    return "\n".join(sorted(path.name for path in Path(".").iterdir() if a or not path.name.startswith(".")))


@function_tool
def cat(file_name: str) -> str:
    """Show the beginning of a file of the current folder.

    Args:
        file_name: Its name, without a path.
    """
    if not (path := Path(Path(file_name).name)).is_file():
        return f"Error: there is no file {file_name}"
    return path.read_text(encoding="utf-8", errors="replace")[:400]


async def say_who(response: httpx.Response) -> None:
    found = {name: response.headers.get(f"x-specacts-{name}") for name in ("actor", "reason", "score")}
    print("   ", ", ".join(f"{name} {value}" for name, value in found.items() if value), flush=True)


async def main(url: str, wish: str) -> None:
    set_tracing_disabled(True)  # it would be sent to a server of OpenAI's
    wire = httpx.AsyncClient(event_hooks={"response": [say_who]}, timeout=120)
    client = AsyncOpenAI(base_url=url, api_key=os.environ.get("OPENAI_API_KEY", "nobody's"), http_client=wire)
    model = OpenAIChatCompletionsModel(model=os.environ.get("MODEL", "gpt-5"), openai_client=client)
    agent = Agent(name="files", instructions="You look after files.", model=model, tools=[ls, cat])
    result = Runner.run_streamed(agent, wish, max_turns=TURNS)
    try:
        async for event in result.stream_events():
            if event.type == "run_item_stream_event" and event.name in ("tool_called", "tool_output"):
                what = getattr(event.item, "output", None) or getattr(event.item.raw_item, "name", "")
                print(f"{event.name}: {str(what).splitlines()[0] if what else ''}", flush=True)
        print(f"answer: {result.final_output}")
    except MaxTurnsExceeded:
        print(f"no answer in {TURNS} turns")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
