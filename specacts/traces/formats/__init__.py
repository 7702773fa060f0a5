"""Trace formats, one module each: how the objects that somebody logged become conversations.

A format is two small functions, and its name for people:

    recognises(value) -> bool           whether an object of a file is in the format
    to_chat(value, noted) -> Chat       the same conversation in the OpenAI chat shape; what was left out is counted

`detect.py` asks them in order and knows what is recognised but not read (`unsupported.py`). All of them end in
`openai_chat.py`, the one strict reader, which alone decides what is an action of which type:

    decode(text), clean(value)                      a line, a table's row, as values that are safe to go through
    read_conversation(value, types, scrub, known)   its `Conversation`; or raises `Invalid` with every `Problem`

Another format is another module here and a line in `detect.py`, with inputs of its kind in `tests/cases/`.
"""
