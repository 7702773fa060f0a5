"""Conversations are found again by what was said in them, for as long as there is room."""

import pytest
from agents import MESSAGES, PLACES

from specacts.serving.conversations import Conversations, digests_of, named

FIRST, SECOND = MESSAGES[: PLACES[0]], MESSAGES[: PLACES[1]]


def test_a_conversation_keeps_its_name_from_request_to_request():
    memory = Conversations()
    place = memory.place(FIRST)
    memory.answered(place, MESSAGES[PLACES[0]], "retrieval", 0.9)
    assert memory.place(SECOND).name == place.name


def test_one_that_begins_with_the_same_words_is_another_with_the_same_origin():
    memory = Conversations()
    one, other = memory.place(FIRST), memory.place(FIRST)
    assert one.name != other.name
    assert one.origin == other.origin and one.draw() == other.draw()


def test_one_that_is_not_remembered_any_more_still_draws_the_same():
    memory = Conversations(most=2)
    place = memory.place(FIRST)
    memory.answered(place, MESSAGES[PLACES[0]], "retrieval", 0.9)
    for n in range(2):
        memory.answered(memory.place([{"role": "user", "content": f"{n}"}]), MESSAGES[6], None, None)
    later = memory.place(SECOND)
    assert later.name != place.name and later.draw() == place.draw()
    assert later.earlier == (None,)
    assert len(memory.notes) == 2


def test_the_client_may_name_it():
    memory = Conversations()
    assert memory.place(FIRST, "ticket-7").name == "ticket-7"
    assert memory.place(SECOND, "ticket-7").draw() == memory.place(FIRST, "ticket-7").draw()
    assert memory.place(FIRST, "ticket-7").draw() != memory.place(FIRST, "ticket-8").draw()


def test_those_with_names_never_share_what_is_remembered():
    memory = Conversations()
    memory.answered(memory.place(FIRST, "one"), MESSAGES[PLACES[0]], "retrieval", 0.9)
    assert memory.place(SECOND, "one").earlier == (0.9,)
    assert memory.place(SECOND, "two").earlier == (None,)


def test_a_name_that_no_header_or_log_could_hold_is_a_digest():
    assert named("évil\r\nx: y").startswith("named-")
    assert named("x" * 129).startswith("named-")
    assert named("run/7@a") == "run/7@a"


def test_scores_are_those_since_the_user_spoke():
    memory = Conversations()
    for n, score in ((0, 0.9), (1, None), (2, 0.8)):
        place = memory.place(MESSAGES[: PLACES[n]])
        memory.answered(place, MESSAGES[PLACES[n]], None, score)
    assert memory.place(MESSAGES[: PLACES[2]]).earlier == (0.9, None)
    assert memory.place(MESSAGES[: PLACES[3]]).earlier == ()


def test_what_words_were_meant_as_is_known_by_the_message():
    memory = Conversations()
    memory.answered(memory.place(MESSAGES[: PLACES[2]]), MESSAGES[PLACES[2]], "BLOCKED", None)
    assert memory.place(MESSAGES[: PLACES[3]]).said == {PLACES[2]: "BLOCKED"}


@pytest.mark.parametrize(
    "changed",
    [
        {"role": "assistant", "content": "  Order 7 is gone.\n"},
        {"role": "assistant", "content": [{"type": "text", "text": "Order 7 is gone."}], "annotations": []},
    ],
)
def test_how_clients_write_a_message_down_makes_no_difference(changed):
    assert digests_of([*MESSAGES[:6], changed]) == digests_of(MESSAGES[:7])


def test_neither_do_ids_of_calls_nor_spaces_in_arguments_nor_standing_instructions():
    call = {"id": "other", "type": "function", "function": {"name": "get_order", "arguments": '{ "order":7 }'}}
    changed = [{"role": "system", "content": "It is noon."}, MESSAGES[1], {"role": "assistant", "tool_calls": [call]}]
    assert digests_of(changed) == digests_of(MESSAGES[:3])


@pytest.mark.parametrize("messages", [[None], [{}], [{"role": "assistant", "tool_calls": "x"}], [{"content": 5}]])
def test_no_message_makes_it_fail(messages):
    memory = Conversations()
    memory.answered(memory.place(messages), {"role": "assistant", "content": "x"}, None, None)
    assert memory.place([]).earlier == ()
