"""Asking models: proposals and verdicts at every decision of several windows, from one reading of their trunks."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch

from specacts.answering.decode import Generated, Prefix, generate
from specacts.answering.guide import Guide, spelling
from specacts.answering.records import Candidate, Heard, Verdict, Words
from specacts.answering.session import Session
from specacts.answering.wellformed import Grammar, offered
from specacts.core.episodes import Action, Episode, Tool, decisions
from specacts.core.seeds import decision_seed
from specacts.core.words import ACTION_TYPES, SPEAKING, Level
from specacts.models.measure import clock
from specacts.transcripts.render import Point, Renderer, Window


class Reading(NamedTuple):
    """Windows that have been read: a session each, and for each decision, in order, its place among them.

    first: first-token log-probabilities [decisions, V]; of a reward model, which has no tokens to offer, nothing.
    seconds_per_token: by window.
    """

    sessions: list[Session]
    prefixes: list[Prefix]
    first: torch.Tensor
    seconds_per_token: list[float]


def read(model: torch.nn.Module, windows: list[Window]) -> Reading:
    """Read each window's trunk once, so that all their decisions can be answered side by side."""
    sessions, prefixes, first, seconds = [], [], [], []
    for number, window in enumerate(windows):
        session = Session(model)
        started = clock(session.device)
        # The last label is never context; neither policy nor cost should see it read.
        ids = window.ids[: window.points[-1].start]
        points = [] if session.gives_rewards else window.points
        first.append(session.extend(ids, [point.start - 1 for point in points]))
        seconds.append((clock(session.device) - started) / len(ids))
        prefixes += [Prefix(number, point.start) for point in window.points]
        sessions.append(session)
    return Reading(sessions, prefixes, torch.cat(first), seconds)


def propose(
    reading: Reading,
    renderer: Renderer,
    count: int,
    temperature: float,
    seeds: list[int],
    speaks: bool = True,
    tools: Sequence[Sequence[Tool]] | None = None,
) -> list[list[Candidate]]:
    """`count` candidates at each decision: one greedy, the others sampled, each from its decision's own seed.

    speaks: whether speaking actions are generated with their words, for whoever may take them; else their types are
    enough. tools: on offer at each decision, where a proposal may be nothing but a well-formed action (in the form
    `words` between named frames, elsewhere they change nothing).
    """
    guides = guides_of(renderer, tools or (), count) if is_guided(renderer, tools) else []
    types = [tuple(renderer.type_ids(action_type)) for action_type in SPEAKING] if renderer.form == "words" else []
    temperatures = ([0.0] + [temperature] * (count - 1)) * len(seeds)
    generators = [g for seed in seeds for g in _generators(seed, count, reading.first.device)]
    started = clock(reading.first.device)
    generated = generate(
        reading.sessions,
        [prefix for prefix in reading.prefixes for _ in range(count)],
        reading.first.repeat_interleave(count, dim=0),
        renderer.stop_id,
        renderer.limits.action_tokens,
        temperatures,
        generators,
        () if speaks else types,
        guides,
    )
    share = (clock(reading.first.device) - started) / sum(len(g.ids) for g in generated)
    candidates = [candidate(g, renderer, share) for g in generated]
    return [candidates[n : n + count] for n in range(0, len(candidates), count)]


def is_guided(renderer: Renderer, tools: Sequence[Sequence[Tool]] | None) -> bool:
    """Whether proposals are kept to well-formed actions: where tools are named, in the form `words` between frames."""
    return tools is not None and renderer.form == "words" and renderer.frames.plain_calls


def guides_of(renderer: Renderer, tools: Sequence[Sequence[Tool]], count: int) -> list[Guide]:
    """`count` guides for each decision. tools: on offer at each."""
    spelled, limit = spelling(renderer), renderer.limits.action_tokens
    grammars = [Grammar.of(renderer, offered) for offered in tools]
    return [Guide(spelled, grammar, limit) for grammar in grammars for _ in range(count)]


def _generators(seed: int, count: int, device: torch.device) -> list[torch.Generator | None]:
    sampled = [torch.Generator(device).manual_seed(seed + n) for n in range(1, count)]
    return [None, *sampled]


def candidate(generated: Generated, renderer: Renderer, seconds_per_token: float) -> Candidate:
    """A proposal, and in the form `words`, if it speaks, what is said behind it once it is taken."""
    ids, whole = generated.ids, generated.ids[-1] == renderer.stop_id
    speaking = _type_said(renderer, ids)
    text = renderer.text(ids)
    action = renderer.parse(text, whole=whole or speaking > 0)
    proposal, words = len(ids), None
    if speaking and action and action.content:
        proposal = speaking + 1  # the last token shows that words follow: it is the first of them
        text, action = renderer.text(ids[:speaking]), action.model_copy(update={"content": ""})
        if len(ids) > proposal:
            rest = len(ids) - proposal
            said = renderer.text(ids[speaking:]).removeprefix(" ")
            words = Words(text=said, whole=whole, tokens=rest, seconds=seconds_per_token * rest)
    return Candidate(
        text=text,
        action=action,
        confidence=confidence(generated, renderer, action) if action else 0.0,
        logprob=sum(generated.logprobs[:proposal]),
        tokens=proposal,
        seconds=seconds_per_token * proposal,
        words=words,
    )


def _type_said(renderer: Renderer, ids: list[int]) -> int:
    """How many tokens say the type, where the form `words` begins with one that speaks; else 0."""
    if renderer.form != "words":
        return 0
    types = [renderer.type_ids(action_type) for action_type in SPEAKING]
    return next((len(said) for said in types if ids[: len(said)] == said), 0)


def confidence(generated: Generated, renderer: Renderer, action: Action) -> float:
    """How sure [0, 1] a proposer was of its action's type.

    Its probability among the nine, where one token says the type; else that of the opening that was written: the
    action's own, or of a reply that has none the first token.
    """
    if renderer.form == "words":
        return type_probability(generated.first_logprobs, renderer, action.type)
    opening = renderer.opening_ids(action)
    size = len(opening) if generated.ids[: len(opening)] == opening else 1
    return math.exp(sum(generated.logprobs[:size]))


def type_probability(logprobs: torch.Tensor, renderer: Renderer, action_type: str) -> float:
    """Probability [0, 1] of an action type among the nine, from the first token's log-probabilities [V]."""
    nine = logprobs[renderer.first_ids].softmax(dim=0)
    return nine[ACTION_TYPES.index(action_type)].item()


def judge(
    reading: Reading, renderer: Renderer, candidates: list[list[Candidate]], shows_confidence: bool
) -> list[list[Verdict]]:
    """A model's P(ACCEPT), asked whether it is right, for each candidate at each decision."""
    accept, reject = (renderer.verdict_ids(right)[0] for right in (True, False))
    ids = question_ids(renderer, shows_confidence)
    branches = branches_of(reading.prefixes, candidates, ids)
    scores, share = _asked(reading, branches, lambda session, own: session.score(own, ends_only=True))
    found = {
        branch: Found(torch.sigmoid(s[-1, accept] - s[-1, reject]).item(), len(branch.ids), 1)
        for branch, s in zip(branches, scores, strict=True)
    }
    return verdicts_on(reading.prefixes, candidates, ids, found, share)


def reward(reading: Reading, renderer: Renderer, candidates: list[list[Candidate]]) -> list[list[Verdict]]:
    """A reward model's verdicts: the sigmoid of what it gives each candidate, so that a reward of 0 scores 0.5."""

    def ids(action: Action, _: float) -> list[int]:
        return renderer.proposal_ids(action)

    branches = branches_of(reading.prefixes, candidates, ids)
    rewards, share = _asked(reading, branches, lambda session, own: session.rewards(own))
    found = {
        branch: Found(1 / (1 + math.exp(-value)), len(branch.ids), 1)
        for branch, value in zip(branches, rewards, strict=True)
    }
    return verdicts_on(reading.prefixes, candidates, ids, found, share)


def likelihood(
    reading: Reading, renderer: Renderer, candidates: list[list[Candidate]], level: Level
) -> list[list[Verdict]]:
    """A proposer as judge: the probability it gives each candidate's type, or (level tool, call) the whole call."""
    ids = likelihood_ids(renderer, level)
    branches = branches_of(reading.prefixes, candidates, ids)
    row = {prefix: n for n, prefix in enumerate(reading.prefixes)}
    opening = _at(reading.first, [row[branch.prefix] for branch in branches], [branch.ids[0] for branch in branches])
    first = dict(zip(branches, opening, strict=True))
    if all(len(branch.ids) == 1 for branch in branches):  # what stands behind the context answers for all candidates
        found = {branch: Found(math.exp(value), 0, 1) for branch, value in first.items()}
        return verdicts_on(reading.prefixes, candidates, ids, found, 0.0, together=True)
    scores, share = _asked(reading, branches, lambda session, own: session.score(own))
    found = {}
    for branch, s in zip(branches, scores, strict=True):
        rest = sum(_at(s, range(len(branch.ids) - 1), branch.ids[1:]))
        found[branch] = Found(math.exp(first[branch] + rest), len(branch.ids), len(branch.ids))
    return verdicts_on(reading.prefixes, candidates, ids, found, share)


def hear(reading: Reading, windows: list[Window]) -> list[Heard | None]:
    """How likely a proposer finds what the agent said, at each decision of the windows; None where it said nothing."""
    pairs = zip(reading.sessions, windows, strict=True)
    return [_heard(session, window, point) for session, window in pairs for point in window.points]


def _heard(session: Session, window: Window, point: Point) -> Heard | None:
    places = said_at(point)
    if not places:
        return None
    # One decision at a time: the log-probabilities behind every token of all would be gigabytes.
    (scores,) = session.score([(point.start, window.ids[point.start : places.stop - 1])])  # [tokens, V]
    found = _at(scores, [n - point.start - 1 for n in places], [window.ids[n] for n in places])
    return Heard(tokens=len(found), nll=max(0.0, -sum(found)))


def _at(scores: torch.Tensor, rows: Sequence[int], tokens: Sequence[int]) -> list[float]:
    """What scores [N, V] say of a token in each of these rows, fetched from the device at once."""
    return scores[list(rows), list(tokens)].tolist()


def said_at(point: Point) -> range:
    """Where in its window what the agent said stands, as far as its type leaves it open."""
    end = point.end if point.whole else point.end - 1  # nobody has to expect the end of words that were cut
    return range(max(point.said, point.start + 1), end)


class Branch(NamedTuple):
    """What a judge reads behind a context."""

    prefix: Prefix
    ids: tuple[int, ...]


class Found(NamedTuple):
    """What a judge said of a branch, and what it read and computed for it."""

    score: float
    tokens: int
    heads: int


Ids = Callable[[Action, float], list[int]]
"""What a judge reads of an action, and of its proposer's confidence in it."""


def question_ids(renderer: Renderer, shows_confidence: bool) -> Ids:
    """A proposal, and the question whether it is right."""

    def ids(action: Action, confidence: float) -> list[int]:
        return renderer.proposal_ids(action) + renderer.verdict_query_ids(confidence if shows_confidence else None)

    return ids


def likelihood_ids(renderer: Renderer, level: Level) -> Ids:
    """What tells how likely an action is at a level. What speaks is judged by its type at every level."""

    def ids(action: Action, _: float) -> list[int]:
        speaks = renderer.form == "words" and action.tool is None
        return renderer.opening_ids(action) if level == "type" or speaks else renderer.proposal_ids(action)

    return ids


def branches_of(prefixes: list[Prefix], candidates: list[list[Candidate]], ids: Ids) -> list[Branch]:
    """What has to be judged: each different well-formed candidate of a decision once, in order."""
    pairs = zip(prefixes, candidates, strict=True)
    found = (_branch(prefix, candidate, ids) for prefix, row in pairs for candidate in row)
    return list(dict.fromkeys(branch for branch in found if branch))


def _branch(prefix: Prefix, candidate: Candidate, ids: Ids) -> Branch | None:
    """None of a malformed candidate, about which nobody has to be asked."""
    return Branch(prefix, tuple(ids(candidate.action, candidate.confidence))) if candidate.action else None


def _asked(reading: Reading, branches: list[Branch], ask: Callable[[Session, list], list]) -> tuple[list, float]:
    """What each trunk's session says of its branches, in their order, and the seconds that one of their tokens took."""
    device = reading.first.device
    started = clock(device)
    said = []
    for number, session in enumerate(reading.sessions):  # branches come in the order of their trunks
        own = [(branch.prefix.end, list(branch.ids)) for branch in branches if branch.prefix.trunk == number]
        said += ask(session, own) if own else []
    return said, (clock(device) - started) / max(1, sum(len(branch.ids) for branch in branches))


def verdicts_on(
    prefixes: list[Prefix],
    candidates: list[list[Candidate]],
    ids: Ids,
    found: dict[Branch, Found],
    share: float,
    together: bool = False,
) -> list[list[Verdict]]:
    """Verdicts in the candidates' order. Malformed candidates cost nothing.

    together: whether one computation judges all of a decision's candidates, and not only equal ones.
    """
    result = []
    for prefix, row in zip(prefixes, candidates, strict=True):
        verdicts: list[Verdict] = []
        seen: dict[Branch | Literal[True], int] = {}
        for number, candidate in enumerate(row):
            branch = _branch(prefix, candidate, ids)
            score, tokens, heads = found[branch] if branch else Found(0.0, 0, 0)
            shared = seen.setdefault(together or branch, number) if branch else number
            verdicts.append(Verdict(score=score, tokens=tokens, heads=heads, seconds=tokens * share, shared=shared))
        result.append(verdicts)
    return result


class Asked(NamedTuple):
    """A decision to be answered, and where it stands; tools: on offer there."""

    episode: Episode
    window_number: int
    window: Window
    point: Point
    gold: Action
    tools: tuple[Tool, ...]
    seed: int


TOGETHER = 8
"""Windows that are read and answered at a time."""


def batches(
    renderer: Renderer, episodes: list[Episode], seed: int, size: int = TOGETHER
) -> Iterator[list[list[Asked]]]:
    """Decisions by window, `size` windows at a time: what is read and answered together."""
    windows = []
    for episode in episodes:
        due, tools = decisions(episode), [offered(episode, decision.step) for decision in decisions(episode)]
        for number, window in enumerate(renderer.windows(episode)):
            windows.append(
                [
                    Asked(
                        episode=episode,
                        window_number=number,
                        window=window,
                        point=p,
                        gold=due[p.decision].gold,
                        tools=tools[p.decision],
                        seed=decision_seed(seed, episode.id, p.decision),
                    )
                    for p in window.points
                ]
            )
    for start in range(0, len(windows), size):
        yield windows[start : start + size]
