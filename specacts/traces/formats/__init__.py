"""Trace formats, one module each: how the objects that somebody logged become conversations.

There is one today, `openai_chat.py`. Another format is another module here, with its tests in `tests/traces/formats/`;
`specacts/traces/reader.py` alone calls it, line by line or row by row. What the reader uses of the module:

    decode(text)                                    a line of a file as a value that is safe to go through
    clean(value)                                    the same of a table's row
    read_conversation(value, types, scrub, known)   its `Conversation`; or raises `Invalid` with every `Problem` it has

The action types of calls come from `traces/tool_types.py`, every kept text goes through `scrub` (secrets), and
`core/observations.py` knows which results report a failure. `Conversation`, `Problem` and `Invalid` say nothing of
OpenAI's format; they stand in `openai_chat.py` because nobody else makes them.
"""
