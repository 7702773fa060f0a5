"""A tokenizer that only counts: for a base whose own is not here yet, texts in about as many tokens.

    renderer = Renderer.load(counting_tokenizer(config.scale.rendering("cheap")), ...)

Words of up to nine letters are a token, and so are parts of identifiers of up to six, digits, runs of signs and of
spaces: as tokenizers of 50 to 150 thousand words do it on the average of English, JSON and code (`plan.py` says how far
off it is at most). It can have any frames, and a chat template of the ChatML family, with Hermes' tool calls, as Qwen's
are. What it writes means nothing.
"""

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from specacts.config import Render
from specacts.transcripts.parse import VERBS

PIECES = (
    r"'(?i:s|t|re|ve|m|ll|d)"  # English endings, as in Qwen's and GPT's patterns
    r"| [a-zA-Z]{1,9}"
    r"|[^\r\n\p{L}\p{N} ]?[a-zA-Z][a-z]{0,5}"  # parts of identifiers, in either style
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
    tokenizer.chat_template = TEMPLATE
    return tokenizer


TEMPLATE = r"""
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n" }}
    {{- "You are provided with function signatures within <tools></tools> XML tags:\n<tools>" }}
    {%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}
    {{- "\n</tools>\n\nFor each function call, return a json object with function name and arguments " }}
    {{- "within <tool_call></tool_call> XML tags:\n<tool_call>\n" }}
    {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content if message.content is string else '' %}
        {{- '<|im_start|>assistant\n' + content }}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if (loop.first and content) or not loop.first %}{{- '\n' }}{%- endif %}
            {%- set call = tool_call.function or tool_call %}
            {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}"""
"""After the template of Qwen3 (Apache License 2.0), without thinking."""
