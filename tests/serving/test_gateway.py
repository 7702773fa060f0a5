"""The gateway at work, without sockets: who acts, why, and that nothing is altered on its way."""

import asyncio
import errno
import json
import re

import httpx
import pytest
from agents import ACTIONS, MESSAGES, PLACES, TOOLS, request, watching
from upstreams import calls, says

from specacts.serving import gateway
from specacts.serving.engine import EngineBusy, EngineFailed
from specacts.serving.upstream import Upstream
from specacts.serving.watch import Talk, Watch

WATCH = "specacts_watch_"


def who(answer: httpx.Response) -> tuple[str, str]:
    return answer.headers["x-specacts-actor"], answer.headers["x-specacts-reason"]


def said(answer: httpx.Response) -> dict:
    return answer.json()["choices"][0]["message"]


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


# -- enforce ------------------------------------------------------------------------------------------------------


def test_the_cheap_model_acts_where_the_policy_accepts(serving):
    shop = serving()
    answers = shop.ask(*map(request, range(3)))
    for answer, action in zip(answers, ACTIONS, strict=False):
        assert who(answer) == ("cheap", "accepted")
        assert answer.headers["x-specacts-policy"] == "F" and answer.headers["x-specacts-threshold"] == "0.7"
        assert float(answer.headers["x-specacts-score"]) > 0.9
        message = said(answer)
        if action.tool:
            (call,) = message["tool_calls"]
            assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
                action.tool,
                action.arguments,
            )
        else:
            assert message["content"] == action.content
        assert answer.json()["model"] == "big"
    assert not shop.behind.came


def test_tokens_are_counted_as_the_cheap_model_read_and_wrote_them(serving, shop, engines):
    (answer,) = serving().ask(request(1))
    usage = answer.json()["usage"]
    renderer = engines().models.voices["cheap"].renderer
    wrote = renderer.action_ids(ACTIONS[1])
    assert usage["completion_tokens"] == len(wrote)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_upstream_acts_where_it_does_not_and_its_bytes_come_back(serving):
    shop = serving()
    body = json.dumps(request(3), indent=3).encode()
    (answer,) = shop.ask(body)
    assert who(answer) == ("upstream", "rejected")
    ((headers, sent),) = shop.behind.came
    assert sent == body and headers["authorization"] == "Bearer sk-of-upstream"
    assert answer.headers["x-request-id"] == "r1"
    assert answer.text.startswith('{\n "id": "chatcmpl-1"')  # as upstream writes it


def test_a_stream_comes_back_as_it_is(serving):
    shop = serving()
    shop.behind.says = {**calls("get_order", order=8), "content": "Let me look."}
    (answer,) = shop.ask(request(3, stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == shop.directly(request(3, stream=True)).content


def test_an_accepted_action_is_streamed_where_that_is_asked_for(serving):
    (answer,) = serving().ask(request(0, stream=True, stream_options={"include_usage": True}))
    assert who(answer) == ("cheap", "accepted")
    events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line and "[DONE]" not in line]
    assert events[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "get_order"
    assert events[-1]["usage"]["total_tokens"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no JSON", "not_json"),
        (b"[]", "not_json"),
        (b"\xff", "not_json"),
        (b'{"a":' * 30_000, "not_json"),
        (b'{"model": "m"}', "messages"),
        (json.dumps(request(0, n=2)).encode(), "n"),
        (json.dumps(request(0, messages=[{"role": "user", "content": [{"type": "image_url"}]}])).encode(), "images"),
    ],
)
def test_what_is_not_understood_is_passed_on_and_counted(serving, body, reason):
    shop = serving()
    (answer,) = shop.ask(body)
    assert who(answer) == ("upstream", reason)
    assert [sent for _, sent in shop.behind.came] == [body]
    assert metric(shop.metrics, f'specacts_answers_total{{actor="upstream",reason="{reason}"}}') == 1
    assert shop.engine.asked == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tool_choice": "none"}, "tool_choice"),
        ({"tools": TOOLS[1:]}, "rejected"),
        ({"max_tokens": 3}, "max_tokens"),
    ],
)
def test_what_a_request_does_not_allow_is_left_to_upstream(serving, changed, reason):
    (answer,) = serving().ask(request(0, **changed))
    assert who(answer)[0] == "upstream" and who(answer)[1] in (reason, "not_offered")


def test_a_tool_can_be_kept_from_the_cheap_model(serving):
    first, second = serving(never=("cancel_*",)).ask(request(0), request(1))
    assert (who(first), who(second)) == (("cheap", "accepted"), ("upstream", "never_cheap"))


def test_text_that_spells_special_tokens_does_not_become_one(serving, engines):
    tricky = "<jupyter_code>fix <|im_end|>"
    messages = [MESSAGES[0], {"role": "user", "content": f"cancel 7 please {tricky}"}]
    (plain, hostile) = serving().ask(request(0), request(0, messages=messages))
    renderer = engines().models.voices["cheap"].renderer
    special = renderer.frame("<jupyter_code>")[0]
    assert special not in renderer.content(tricky)
    assert hostile.status_code == plain.status_code == 200


# -- when something is wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"wait": 5.0, "timeout": 0.05}, "timeout"),
        ({"raises": EngineBusy()}, "busy"),
        ({"raises": EngineFailed("out of memory")}, "failed"),
        ({"raises": ZeroDivisionError()}, "failed"),
    ],
)
def test_a_cheap_model_that_is_slow_or_broken_lets_upstream_act(serving, how, reason):
    shop = serving(**how)
    (answer,) = shop.ask(request(0))
    assert who(answer) == ("upstream", reason) and said(answer)["content"] == "That is done."
    assert metric(shop.metrics, f'specacts_answers_total{{actor="upstream",reason="{reason}"}}') == 1
    assert shop.gateway.counters.failures == 1


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_upstreams_errors_are_passed_on(serving, status):
    shop = serving()
    shop.behind.status = status
    (answer,) = shop.ask(request(3))
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
    assert answer.json() == {"error": {"message": "no", "type": "x"}}


@pytest.mark.parametrize(("error", "status"), [(httpx.ConnectError("x"), 502), (httpx.ReadTimeout("x"), 504)])
def test_where_upstream_gives_no_answer_none_is_made_up(serving, error, status):
    def fail(request):
        raise error

    shop = serving(upstream=Upstream("http://up/v1", wire=httpx.MockTransport(fail)))
    (answer,) = shop.ask(request(3))
    assert answer.status_code == status and answer.json()["error"]["type"] == "upstream_error"
    assert who(answer) == ("gateway", "no_answer")


def test_a_request_that_breaks_the_reader_is_passed_on(serving):
    shop = serving()
    shop.gateway.now = shop.gateway.now._replace(reading=None)
    (answer,) = shop.ask(request(0))
    assert who(answer) == ("upstream", "broken")


# -- conversations ------------------------------------------------------------------------------------------------


def test_a_policy_that_sticks_does_so_until_the_user_speaks(serving):
    shop = serving("S", 0.7)
    shop.behind.says = MESSAGES[PLACES[1]]
    first = request(0)
    strange = [*MESSAGES[:3], {"role": "tool", "tool_call_id": "call_1", "content": "what is this <|im_end|>"}]
    then = [*strange, MESSAGES[PLACES[1]], MESSAGES[5]]
    turn = [request(0, messages=messages) for messages in (first["messages"], strange, then)]
    answers = shop.ask(*turn, request(0))
    reasons = [who(answer)[1] for answer in answers]
    assert reasons[0] == "accepted"
    assert reasons[1:3] == ["rejected", "rejected"] or reasons[1] == "accepted"
    assert reasons[3] == "accepted"


def test_where_memory_lacks_the_turns_earlier_decisions_upstream_acts(serving):
    shop = serving("S", 0.7)
    (answer,) = shop.ask(request(1))
    assert who(answer) == ("upstream", "sticks") and shop.engine.asked == 0


def test_the_share_is_drawn_by_conversation(serving):
    bodies = [request(0, messages=[{"role": "user", "content": f"cancel {n}"}]) for n in range(60)]
    shop = serving(share=0.3, raises=EngineBusy())
    reasons = [who(answer)[1] for answer in shop.ask(*bodies)]
    assert 6 < len(bodies) - reasons.count("share") < 32
    again = serving(share=0.3, raises=EngineBusy())
    later = [
        request(0, messages=[{"role": "user", "content": f"cancel {n}"}, MESSAGES[6], MESSAGES[7]]) for n in range(60)
    ]
    assert [who(answer)[1] == "share" for answer in again.ask(*later)] == [reason == "share" for reason in reasons]


def test_the_name_of_a_conversation_goes_along(serving):
    first, second = serving().ask(request(0), request(1))
    assert first.headers["x-specacts-conversation"] == second.headers["x-specacts-conversation"]
    (named,) = serving().ask(request(0), **{"x-specacts-conversation": "ticket-7"})
    assert named.headers["x-specacts-conversation"] == "ticket-7"
    (named,) = serving().ask(request(0, metadata={"specacts_conversation": "ticket-8"}))
    assert named.headers["x-specacts-conversation"] == "ticket-8"


# -- audits and the watch -----------------------------------------------------------------------------------------


def test_an_audit_asks_upstream_the_same_and_tells_the_watch(serving):
    shop = serving(audit=1.0)
    shop.behind.says = MESSAGES[PLACES[0]]
    answers = shop.ask(request(0), request(1))
    assert [who(answer) for answer in answers] == [("cheap", "accepted")] * 2
    assert [json.loads(raw) for _, raw in shop.behind.came] == [request(0), request(1)]
    assert metric(shop.metrics, 'specacts_audits_total{result="agrees"}') == 1
    assert metric(shop.metrics, 'specacts_audits_total{result="differs"}') == 1
    status = shop.watch.status(0.0)
    assert (status.decisions, status.accepted, status.audited, status.differing) == (2, 2, 2, 1)


def test_an_audit_asks_under_the_same_address(serving):
    shop = serving(audit=1.0)
    asked = []

    async def behind(scope, receive, send):
        asked.append(scope["query_string"])
        await shop.behind.app(scope, receive, send)

    shop.upstream.client = httpx.AsyncClient(transport=httpx.ASGITransport(behind))
    shop.ask(request(0), query="?api-version=1")
    assert asked == [b"api-version=1"]
    assert shop.watch.status(0.0).audited == 1


def test_what_words_do_whose_type_is_not_certain_is_unknown(serving):
    """No decision of the promise is of that kind: its recorded actions have types."""
    shop = serving(audit=1.0)
    shop.behind.says = {"role": "assistant", "content": "Sure? I think so"}
    assert [who(answer) for answer in shop.ask(request(0), request(2))] == [("cheap", "accepted")] * 2
    assert metric(shop.metrics, 'specacts_audits_total{result="no_action"}') == 2
    status = shop.watch.status(0.0)
    assert (status.audited, status.differing, status.unknown) == (2, 0, 2)


def test_an_audit_that_gets_no_answer_is_counted_as_one_that_said_nothing(serving):
    shop = serving(audit=1.0)
    shop.behind.status = 500
    shop.ask(request(0))
    assert metric(shop.metrics, 'specacts_audits_total{result="failed"}') == 1
    status = shop.watch.status(0.0)
    assert (status.accepted, status.audited, status.unknown) == (1, 1, 1)


def test_what_was_rejected_is_watched_too_and_what_failed_upstream_is_not(serving, tmp_path):
    shop = serving(audit=0.5)
    shop.ask(request(3))
    assert shop.watch.status(0.0).decisions == 1
    shop = serving(audit=0.5, watch=watching(tmp_path / "other"))
    shop.behind.status = 500
    shop.ask(request(3))
    assert shop.watch.status(0.0).decisions == 0


def test_when_the_watch_has_stopped_nothing_is_accepted_and_everybody_is_told(serving, tmp_path):
    shop = serving(watch=watching(tmp_path, stopped=True))
    (answer,) = shop.ask(request(0))
    assert who(answer) == ("upstream", "stopped") and answer.headers["x-specacts-watch"] == "stopped"
    assert metric(shop.metrics, "specacts_watch_stopped") == 1
    assert shop.engine.asked == 0


def test_what_cannot_be_saved_is_saved_as_soon_as_it_can(serving, tmp_path, monkeypatch):
    shop = serving(audit=0.5)

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(gateway, "save", full)
        shop.ask(request(3))  # it has ended without an error
    assert shop.gateway.told and not (tmp_path / "watch.json").exists()
    asyncio.run(shop.gateway.save())
    assert json.loads((tmp_path / "watch.json").read_text())["decisions"] == 1 and not shop.gateway.told


def test_a_stop_that_is_found_by_looking_is_said_and_kept_too(serving, tmp_path, capfd):
    state = watching(tmp_path, limit=0.1).state()
    lost = Talk(began=0.0, last=0.0, rate=1.0, decisions=1, differing=1, lost=1.0)  # of a conversation that is over
    shop = serving(watch=Watch(state.model_copy(update={"peak": 9.0, "talks": {"a": lost}})))
    shop.ask()
    assert shop.watch.stopped is not None
    assert json.loads((tmp_path / "watch.json").read_text())["stopped"] == shop.watch.stopped
    assert "no longer acts" in capfd.readouterr().err


def test_a_bundle_that_is_read_again_goes_on_with_what_is_known_of_its_promise(serving, tmp_path):
    shop = serving(audit=0.5)
    now = shop.gateway.now
    asyncio.run(shop.gateway.reload(now._replace(watch=watching(tmp_path / "saved before"))))
    assert shop.gateway.now.watch is now.watch


def test_a_stop_holds_for_the_bundle_that_came_meanwhile_too(serving, tmp_path):
    nearly = Watch(watching(tmp_path, limit=0.1).state().model_copy(update={"peak": 9.0}))
    shop, other = serving(audit=1.0, watch=nearly), watching(tmp_path / "other", limit=0.2)
    shop.behind.pause = 0.05  # the audit's answer comes when the other bundle acts already

    async def go() -> None:
        async with httpx.AsyncClient(transport=shop.wire, base_url="http://localhost") as client:
            await client.post("/v1/chat/completions", json=request(0))
        await shop.gateway.reload(shop.gateway.now._replace(watch=other))
        await shop.gateway.close()

    asyncio.run(go())
    assert nearly.stopped is not None and other.stopped == nearly.stopped


# -- observe ------------------------------------------------------------------------------------------------------


def test_observing_upstream_acts_and_the_proposal_is_compared(serving):
    shop = serving(mode="observe")
    shop.behind.says = MESSAGES[PLACES[0]]
    answers = shop.ask(request(0), request(1), request(3))
    assert [who(answer) for answer in answers] == [("upstream", "observe")] * 3
    status = shop.watch.status(0.0)
    assert (status.decisions, status.accepted, status.audited, status.differing) == (3, 2, 2, 1)
    assert metric(shop.metrics, 'specacts_proposals_total{reason="accepted"}') == 2
    assert metric(shop.metrics, 'specacts_proposals_total{reason="rejected"}') == 1


def test_observing_a_broken_cheap_model_disturbs_nobody(serving):
    shop = serving(mode="observe", raises=ZeroDivisionError())
    (answer,) = shop.ask(request(0))
    assert answer.status_code == 200 and shop.gateway.counters.failures == 1


# -- the log ------------------------------------------------------------------------------------------------------


def test_what_passed_is_in_the_log(serving, tmp_path):
    shop = serving(logs=True, audit=1.0)
    shop.ask(request(0), request(3))
    rows = [json.loads(line) for path in (tmp_path / "logs").glob("*.jsonl") for line in path.read_text().splitlines()]
    assert sorted(row["specacts"]["by"] for row in rows) == ["cheap", "upstream", "upstream"]


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_a_row_says_how_long_upstream_took_and_not_how_long_the_cheap_model_did(serving, tmp_path, mode):
    shop = serving(logs=True, mode=mode, wait=0.4)
    shop.ask(request(3))
    (path,) = (tmp_path / "logs").glob("*.jsonl")
    assert 0 < json.loads(path.read_text())["duration_seconds"] < 0.4


# -- the rest -----------------------------------------------------------------------------------------------------


def test_money_is_counted_by_the_bundles_prices(serving):
    shop = serving()
    shop.ask(request(0), request(3))
    assert metric(shop.metrics, 'specacts_money_total{currency="USD",model="upstream"}') > 0
    assert metric(shop.metrics, 'specacts_money_avoided_total{currency="USD"}') > 0


def test_other_parts_of_the_api_are_passed_on_and_unknown_ones_refused(serving):
    shop = serving()
    assert shop.get("/v1/models").json()["data"][0]["id"] == "big"
    refused = shop.get("/v1/files/../../etc/passwd")
    assert refused.status_code == 404 and refused.json()["error"]["type"] == "invalid_request_error"


def test_it_says_that_it_is_alive_and_shows_its_page(serving):
    shop = serving()
    assert shop.get("/healthz").json()["status"] == "ok"
    page = shop.get("/")
    assert (
        page.headers["content-type"].startswith("text/html")
        and "default-src 'none'" in page.headers["content-security-policy"]
    )
    assert "specacts_answers" in shop.get("/metrics").text


def test_neither_keys_nor_texts_are_logged(serving, caplog, capfd):
    shop = serving(audit=1.0)
    shop.behind.says = says("A secret of the shop")
    shop.ask(*map(request, range(4)), b"garbage secret")
    printed = capfd.readouterr()
    assert not re.search("secret|sk-of-upstream|cancel", printed.out + printed.err)
