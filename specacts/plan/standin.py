"""A tokenizer that only counts: for a base whose own is not here yet, texts in about as many tokens.

    renderer = Renderer.load(counting_tokenizer(config.scale.rendering("cheap")), ...)

Words of up to eight letters are a token, and so are digits, runs of signs and of spaces: as tokenizers of 50 to 150
thousand words do it on the average of English, JSON and identifiers (docs/gpu.md says how far off it is). It can have
any frames, and a chat template of the ChatML family, with Hermes' tool calls, as Qwen's are. What it writes means
nothing.
"""

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from specacts.config import Render
from specacts.transcripts.parse import VERBS

TEMPLATE = Path(__file__).with_name("chatml.jinja")
PIECES = (
    r"'(?i:s|t|re|ve|m|ll|d)"  # English endings, as in Qwen's and GPT's patterns
    r"|[^\r\n\p{L}\p{N}]?[a-zA-Z]{1,8}"
    r"|[^\r\n\p{L}\p{N}]?\p{L}{1,2}"  # of other alphabets two letters
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]{1,3}[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
VERDICTS = ("ACCEPT", "REJECT")


def counting_tokenizer(render: Render) -> PreTrainedTokenizerFast:
    """A tokenizer with the special tokens of a base's frames, or with a chat template."""
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    firsts = [split.pre_tokenize_str(word)[0][0] for word in (*VERBS.values(), *VERDICTS)]  # these are told apart
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(["?", *firsts]))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    made.pre_tokenizer = split
    named = [] if render.frames == "chat" else [text for text in render.frames.model_dump().values()]
    made.add_tokens([AddedToken(text, normalized=False, special=True) for text in dict.fromkeys([*SPECIAL, *named])])
    stop = "<|im_end|>" if render.frames == "chat" else render.frames.stop
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=stop, pad_token=stop, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    return tokenizer
