"""Throughput of our training path beside a bare PyTorch loop over the same model and batches.

    python -m benchmarks.train_throughput                                   # models/base/cheap, on this machine
    python -m benchmarks.train_throughput --base models/base/strong --rows 8
    python -m benchmarks.train_throughput --rows 1 --tokens 64 --repeats 1  # does it still run?
    python -m benchmarks.train_throughput --shape qwen3-1.7b --dtype bfloat16 --tokens 2048   # random weights; a GPU

Ours is what `stages.train` runs (TRL's SFTTrainer, logging, checkpoints and publishing left in). The bare loop is
LoRA, AdamW, gradient clipping and the same loss. Both see the same rows, alternately, `--repeats` times; the median
is printed with the ratio, which should be at least 0.8. Peak is a large matrix product measured in the same run; the
share of it counts 4 FLOPs a body parameter and token (forward, and backward through frozen weights) and 4 a head
parameter and label, LoRA's own not counted.
"""

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from specacts.config import Lora, Train
from specacts.core.errors import one_line_errors
from specacts.models.load import DTYPES, device_of, load_base
from specacts.models.measure import model_size
from specacts.training.batches import collate
from specacts.training.job import Settings
from specacts.training.losses import weighted_loss
from specacts.training.rows import Row
from specacts.training.stored import weight_of
from specacts.training.train import peak_memory_gib, train, with_lora

SHAPES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 16},
    "qwen3-1.7b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
    "qwen3-4b": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32},
    "qwen3-8b": {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=Path("models/base/cheap"), help="a model folder")
    parser.add_argument("--shape", choices=SHAPES, help="random weights of this shape instead of --base")
    parser.add_argument("--rows", type=int, default=12, help="rows a run (default: 12)")
    parser.add_argument("--tokens", type=int, default=512, help="tokens a row, a quarter of them labels (default: 512)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default: 3)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    settings = Settings(
        seed=0,
        lora=Lora(r=16, alpha=32, dropout=0.0, target_modules="all-linear"),
        train=Train(
            batch_size=1,
            seed=None,
            warmup_steps=2,
            average=0.1,
            final_lr_ratio=0.1,
            weight_decay=0.0,
            max_grad_norm=1.0,
            type_weight=1.0,
            words_weight=0.1,
        ),
        learning_rate=1e-4,
        epochs=1.0,
        device=device_of(arguments.device).type,
        dtype=arguments.dtype,
        gradient_checkpointing=False,
        most_tokens=arguments.tokens,
    )
    with tempfile.TemporaryDirectory() as scratch:
        base = random_base(arguments.shape, arguments.dtype, Path(scratch)) if arguments.shape else arguments.base
        compare(base, make_rows(arguments.rows, arguments.tokens), settings, arguments.repeats, Path(scratch))


def compare(base: Path, rows: list[Row], settings: Settings, repeats: int, scratch: Path) -> None:
    """Run both sides alternately and print the medians."""
    tokens, labels = sum(len(r.ids) for r in rows), sum(sum(map(bool, r.weights)) for r in rows)
    ours, bare = [], []
    for _ in range(repeats):
        ours.append(train(base, rows, scratch / "adapter", scratch / "work", settings).tokens_per_second)
        bare.append(tokens / bare_seconds(base, rows, settings))
    size = model_size(load_base(base, settings.device, settings.dtype))
    flops_per_token = 4 * size.body + 4 * size.head * labels / tokens
    peak = matmul_peak(settings)
    print(f"base: {base.name}, {(size.body + size.head) / 1e6:.0f}M parameters, {settings.device}, {settings.dtype}")
    for name, runs in (("ours", ours), ("bare loop", bare)):
        speed = statistics.median(runs)
        share = speed * flops_per_token / peak
        print(f"{name}: {speed:.0f} tokens/s (median of {[round(r) for r in runs]}), {share:.0%} of matmul peak")
    print(f"matmul peak: {peak / 1e12:.3f} TFLOP/s; peak memory: {peak_memory_gib():.2f} GiB")
    print(f"ratio ours / bare: {statistics.median(ours) / statistics.median(bare):.2f}")


def make_rows(count: int, tokens: int) -> list[Row]:
    """Random rows; every fourth token a label, as in agent transcripts."""
    generator = torch.Generator().manual_seed(0)
    weights = [float(n % 4 == 3) for n in range(tokens)]
    return [Row(torch.randint(100, 30000, (tokens,), generator=generator).tolist(), weights, []) for _ in range(count)]


def bare_seconds(base: Path, rows: list[Row], settings: Settings) -> float:
    """Seconds of the plainest loop that does the same arithmetic."""
    model = load_base(base, settings.device, settings.dtype)
    model = with_lora(model, settings).train()
    chosen = [p for p in model.parameters() if p.requires_grad]
    row_weight = sum(map(weight_of, rows)) / len(rows)
    optimizer = torch.optim.AdamW(chosen, lr=settings.learning_rate, weight_decay=0.0)
    started = time.perf_counter()
    for row in rows:
        batch = collate([row._asdict()])
        batch = {key: value.to(model.device) if key != "rows" else value for key, value in batch.items()}
        loss = weighted_loss(model, batch, row_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(chosen, settings.train.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    if not math.isfinite(loss.item()):  # also waits for the device
        raise SystemExit("the bare loop's loss is not finite")
    return time.perf_counter() - started


def matmul_peak(settings: Settings) -> float:
    """FLOP/s of a large matrix product, the best of five."""
    device, size = device_of(settings.device), 2048 if settings.device == "cpu" else 8192
    a = torch.randn(size, size, device=device, dtype=DTYPES[settings.dtype])
    best = math.inf
    for _ in range(6):
        started = time.perf_counter()
        (a @ a).sum().item()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def random_base(shape: str, dtype: str, folder: Path) -> Path:
    """Random weights in the shape of a Qwen3 model, with the tokenizer of `models/base/cheap`."""
    from transformers import AutoTokenizer

    config = Qwen3Config(
        **SHAPES[shape], num_key_value_heads=8, head_dim=128, vocab_size=151936, tie_word_embeddings=shape != "qwen3-8b"
    )
    torch.set_default_dtype(DTYPES[dtype])
    Qwen3ForCausalLM(config).save_pretrained(folder / shape)
    torch.set_default_dtype(torch.float32)
    AutoTokenizer.from_pretrained("models/base/cheap").save_pretrained(folder / shape)
    return folder / shape


if __name__ == "__main__":
    with one_line_errors():
        main()
