"""A server's prompts are compared with the trained ones: of one that does what vLLM does, and of one that does not."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from toys import episode, qwen3_tokenizer

from benchmarks import served_prompts
from specacts.core.episodes import save_episodes


@pytest.fixture
def base(tmp_path) -> Path:
    qwen3_tokenizer(tmp_path / "base").save_pretrained(tmp_path / "base")
    save_episodes(tmp_path / "episodes.jsonl", [episode("a", 1)])
    return tmp_path / "base"


@pytest.mark.parametrize(("thinking", "ratio"), [(None, "1.000"), (False, "0.000")])
def test_the_prompts_of_a_server_are_compared_with_the_trained_ones(base, monkeypatch, capsys, thinking, ratio):
    tokenizer = qwen3_tokenizer(base)
    extra = {} if thinking is None else {"enable_thinking": thinking}

    class Tokenize(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = tokenizer.apply_chat_template(
                asked["messages"], tools=asked["tools"], tokenize=False, add_generation_prompt=True, **extra
            )
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"tokens": tokenizer.encode(text, add_special_tokens=False)}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Tokenize) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = ["--base", str(base), "--episodes", str(base.parent / "episodes.jsonl")]
        monkeypatch.setattr("sys.argv", ["served_prompts", "--url", f"http://127.0.0.1:{server.server_port}", *options])
        served_prompts.main()
        server.shutdown()
    assert f"ratio: {ratio}" in capsys.readouterr().out
