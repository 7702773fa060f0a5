"""What a server with the base's own chat template reads of conversations, beside the tokens that are trained.

    vllm launch render BASE --port 8000                 # elsewhere: vLLM without the model; or `vllm serve BASE`
    python -m benchmarks.served_prompts --url http://127.0.0.1:8000 --base BASE

Every decision of some conversations is sent as messages, and the tokens that the server makes of them are compared with
the renderer's. BASE is a folder with the tokenizer and chat template of a base that knows tools, such as Qwen3's.

The ratio is the share of contexts that are the same, token for token; it has to be 1.
"""

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import httpx
import yaml

from specacts.config import Render
from specacts.core.episodes import Episode, decisions, load_episodes
from specacts.core.errors import UserError, one_line_errors
from specacts.transcripts.render import Renderer, load_renderer
from specacts.transcripts.served import messages, tools

SCALE = Path(__file__).parents[1] / "configs/scale/qwen3.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="where the server's /tokenize is")
    parser.add_argument("--base", type=Path, required=True, help="a folder with the base's tokenizer and template")
    parser.add_argument("--model", help="what the server calls it (default: as the folder was given)")
    parser.add_argument("--episodes", type=Path, default=Path("data/split/calibrate.jsonl"))
    parser.add_argument("--most", type=int, default=400, help="most decisions (default: 400)")
    given = parser.parse_args()
    limits = yaml.safe_load(SCALE.read_text(encoding="utf-8"))["render"] | {"frames": "chat"}
    renderer = load_renderer(given.base, Render(**limits))
    if not renderer.frames.served:
        raise UserError(f"{given.base}: its chat template knows no tools, so no server reads what is trained")
    client = httpx.Client(base_url=given.url, timeout=60.0)

    def ask(episode: Episode) -> list[int]:
        body = {"model": given.model or str(given.base), "messages": messages(renderer, episode)}
        answered = client.post("/tokenize", json=body | {"tools": tools(renderer, episode)})
        answered.raise_for_status()
        return answered.json()["tokens"]

    same = compared(renderer, load_episodes(given.episodes), ask, given.most)
    print(f"{sum(same)} of {len(same)} contexts are the same, token for token")
    print(f"ratio: {sum(same) / len(same):.3f}")


def compared(renderer: Renderer, episodes: list[Episode], ask: Callable[[Episode], list[int]], most: int) -> list[bool]:
    """Whether the server reads what is trained, at most so many decisions; conversations of one window alone."""
    windows = ((episode, renderer.windows(episode)) for episode in episodes)
    due = (
        (episode.model_copy(update={"steps": episode.steps[: decision.step]}), found[0].ids[: point.start])
        for episode, found in windows
        if len(found) == 1
        for decision, point in zip(decisions(episode), found[0].points, strict=True)
    )
    return [ask(episode) == trained for episode, trained in islice(due, most)]


if __name__ == "__main__":
    with one_line_errors():
        main()
