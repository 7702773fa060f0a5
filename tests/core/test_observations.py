"""What a tool returned is a failure, or only speaks of one."""

import pytest

from specacts.core.observations import is_error


@pytest.mark.parametrize(
    ("observation", "error"),
    [
        ("Error during execution: name 'x' is not defined", True),
        ('{"error": "no such file"}', True),
        ('{"error": ""}', False),
        ('{"matching_lines": ["Error: something went wrong"]}', False),
        ("None", False),
        ("[1]", False),
    ],
)
def test_an_error_is_told_from_text_that_only_mentions_one(observation, error):
    assert is_error(observation) is error


@pytest.mark.parametrize(
    ("observation", "error"),
    [
        ("Error: no such order", True),
        ("  KeyError('x')", True),
        ("Traceback (most recent call last):\n  File", True),
        ('{"status": "error", "code": 4}', True),
        ('{"isError": true, "content": "x"}', True),
        ("Errors were found in none of the files", False),
        ("error rates fell", False),
        ('{"status": "sent"}', False),
        ('{"error": ""}', False),
        ("[" * 100_000, False),
        ('{"a":' * 100_000, False),
    ],
)
def test_what_tools_of_others_report_as_a_failure_is_one_too(observation, error):
    assert is_error(observation) is error
