"""Toys that several test modules share: small tokenizers, random-weight models and episodes, made in milliseconds.

The tokenizers are byte-level BPE like SmolLM2's and Qwen3's, with their special and added tokens, and learn a handful
of words. The models have the families' architecture and random weights.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    set_seed,
)

from specacts.answering.session import Session
from specacts.config import FrameTexts, Lora, Render, Train
from specacts.core.episodes import Act, Action, Episode, Observation, Tool, User
from specacts.training.job import Settings
from specacts.transcripts.parse import VERBS
from specacts.transcripts.render import Renderer

TEMPLATE = Path(__file__).parent / "qwen3_template.jinja"
QWEN3_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|vision_start|>")
QWEN3_ADDED = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
QWEN3_WORDS = Regex(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    *VERBS.values(),
    "ACCEPT",
    "REJECT",
    "the file is moved to the folder",
    "result",
    "user assistant system tool",
]

TRUNK = [3, 17, 44, 5, 201, 90, 17, 33, 8, 120, 121, 60]
"""Tokens for a model to have read."""

FRAMES = FrameTexts(
    system="<jupyter_start>",
    user="<jupyter_text>",
    action="<jupyter_code>",
    observation="<jupyter_output>",
    verdict="<issue_comment>",
    stop="<|im_end|>",
)
"""The default scale's, of SmolLM2's special tokens."""
COMPACT = Render(
    frames=FRAMES,
    max_tokens=256,
    system_tokens=16,
    tools_tokens=64,
    user_tokens=40,
    observation_tokens=16,
    action_tokens=48,
)
CHAT = Render(
    frames="chat",
    max_tokens=1600,
    system_tokens=16,
    tools_tokens=300,
    user_tokens=40,
    observation_tokens=24,
    action_tokens=80,
)
"""Byte-level toys need more tokens for the frames of a chat template than its own tokenizer does."""


def _bpe(pre: pre_tokenizers.PreTokenizer, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre, decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return tokenizer


def compact_tokenizer() -> PreTrainedTokenizerFast:
    """Like SmolLM2's: the tokens of the compact template are special."""
    tokenizer = _bpe(
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
        None,
    )
    tokenizer.add_special_tokens(["<|endoftext|>", *FRAMES.model_dump().values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>", clean_up_tokenization_spaces=False
    )


def qwen3_tokenizer(folder: Path) -> Qwen2Tokenizer:
    """Like Qwen3's: its class, word pattern, NFC normalizer, special and added tokens, and its template's style."""
    split = pre_tokenizers.Split(QWEN3_WORDS, behavior="isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = _bpe(pre_tokenizers.Sequence([split, plain]), normalizers.NFC())
    tokenizer.add_special_tokens(list(QWEN3_SPECIAL))
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in QWEN3_ADDED])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE.read_text(encoding="utf-8")
    made.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(f'"{type(made).__name__}"', '"Qwen2Tokenizer"'), encoding="utf-8")
    return AutoTokenizer.from_pretrained(folder)


def llama(tokenizer: PreTrainedTokenizerFast, layers: int = 2, seed: int = 0) -> PreTrainedModel:
    """A random Llama in the shape of SmolLM2: grouped-query attention, tied embeddings."""
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.2,  # larger than usual: distributions far from flat
    )
    return LlamaForCausalLM(config).eval()


def qwen3(tokenizer: PreTrainedTokenizerFast, layers: int = 2, seed: int = 0) -> PreTrainedModel:
    """A random Qwen3: its query and key norms, heads wider than hidden_size / heads."""
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    return Qwen3ForCausalLM(config).eval()


def save_base(folder: Path, tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel) -> Path:
    """The model and its tokenizer as a folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def qwen3_base(folder: Path) -> Path:
    """A random Qwen3 with its tokenizer, saved there."""
    tokenizer = qwen3_tokenizer(folder)
    return save_base(folder, tokenizer, qwen3(tokenizer))


def settings(**changed: Any) -> Settings:
    """Training settings for toys: float32 on the CPU, r 4, a handful of steps."""
    train = {"batch_size": 1, "warmup_steps": 2, "final_lr_ratio": 0.1, "weight_decay": 0.0, "max_grad_norm": 1.0}
    train |= {"type_weight": 1.0, "words_weight": 1.0, "average": 0.5, "seed": None}
    train |= {name: changed.pop(name) for name in list(changed) if name in train and name != "seed"}
    values = {"seed": 0, "learning_rate": 1e-2, "epochs": 1.0, "device": "cpu", "dtype": "float32"}
    values |= {"gradient_checkpointing": False, "most_tokens": 256, **changed}
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear"}
    lora |= {name: values.pop(name) for name in list(values) if name in Lora.model_fields}
    return Settings(lora=Lora(**lora), train=Train(**train), **values)


def call(tool: str, action_type: str = "tool_call", **arguments: Any) -> Act:
    return Act(action=Action(type=action_type, tool=tool, arguments=arguments))


def say(action_type: str = "final_answer", content: str = "") -> Act:
    return Act(action=Action(type=action_type, content=content))


def tool(name: str, *parameters: str) -> Tool:
    properties = {p: {"type": "string", "description": f"the {p}"} for p in parameters}
    return Tool(name=name, description=f"does {name}", parameters={"type": "object", "properties": properties})


TOOLS = (tool("move", "source", "target"), tool("look"), tool("send", "to", "text"))


def episode(name: str = "toy", turns: int = 3) -> Episode:
    """Several turns with calls, observations, a fault that is never supervised, new tools and every way to end."""
    steps: list[Any] = []
    endings = ("final_answer", "ask_clarification", "BLOCKED")
    for turn in range(turns):
        steps += [
            User(content=f"please move file {turn} and tell me", new_tools=("send",) if turn == 1 else ()),
            call("look", "file_read"),
            Observation(content='{"files": ["a", "b"], "note": "many more things than fit in a short observation"}'),
            Act(action=Action(type="tool_call", tool="mvoe", arguments={"source": "a"}), supervised=False),
            Observation(content='{"error": "no tool mvoe"}'),
            call("move", "repair", source=f"{name}{turn}", target="ü"),
            Observation(content="{}"),
            say(endings[turn % 3], "moved" if turn % 2 else ""),
        ]
    return Episode(id=name, group=name, source="toy", tools=TOOLS, withheld=("send",), steps=tuple(steps))


def renderer(tokenizer: PreTrainedTokenizerFast, **changed: Any) -> Renderer:
    """The compact renderer for a tokenizer, its limits changed."""
    return Renderer.load(tokenizer, COMPACT.model_copy(update=changed))


def rows_equal(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=tolerance, rtol=0)


@torch.inference_mode()
def fresh(model, ids: list[int]) -> torch.Tensor:
    """Log-probabilities [len(ids), V] after every token, from one forward pass without a cache."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return torch.log_softmax(logits.float(), dim=-1)


def reading(model, ids: list[int] = TRUNK) -> Session:
    session = Session(model)
    session.extend(ids, [len(ids) - 1])
    return session


def reward_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForSequenceClassification:
    """A tiny random-weight reward model."""
    config = llama(tokenizer).config
    # Another token than the one that ends an action, which the model's own pooling would skip.
    config.num_labels, config.pad_token_id = 1, tokenizer.convert_tokens_to_ids("<|endoftext|>")
    torch.manual_seed(0)
    return LlamaForSequenceClassification(config).eval()
