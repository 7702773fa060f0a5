"""What the gateway counts, as Prometheus reads it and as its page shows it.

    counters = Counters(bundle.prices)
    counters.answered("cheap", "accepted", seconds=0.4)
    counters.page()                # the text of /metrics

Labels are words of ours, never text of a request.
"""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Counted

from specacts.config import Price, Prices
from specacts.core.words import Role
from specacts.serving.answers import Used

FAILURES = ("timeout", "busy", "failed")
"""Why upstream acts where the cheap model gave no answer."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60, 120)


class Counters:
    """One gateway's counters. prices: of the bundle's models; without them money is not counted."""

    def __init__(self, prices: Prices | None) -> None:
        self.prices = prices
        self.registry = CollectorRegistry()
        self.requests = self.decisions = self.taken = self.passed_on = self.failures = 0
        self.saved = 0.0
        at: Any = {"registry": self.registry}
        self._answers = Counted("specacts_answers", "Requests by who answered, and why", ["actor", "reason"], **at)
        self._seconds = Histogram(
            "specacts_answer_seconds", "From a request to the end of its answer", ["actor"], buckets=SECONDS, **at
        )
        self._decided = Histogram(
            "specacts_decision_seconds", "From a decision that is due to what the policy says", buckets=SECONDS, **at
        )
        self._tokens = Counted("specacts_tokens", "Tokens by model and kind", ["model", "kind"], **at)
        self._money = Counted("specacts_money", "Money by the bundle's prices", ["model", "currency"], **at)
        self._avoided = Counted(
            "specacts_money_avoided", "What upstream would have got for what the cheap model did", ["currency"], **at
        )
        self._audits = Counted("specacts_audits", "Accepted actions that upstream was asked too", ["result"], **at)
        self._reloads = Counted("specacts_reloads", "Bundles that were asked to be read again", ["result"], **at)
        self._beside = Counted(
            "specacts_proposals", "What the cheap model would have done where upstream acts anyhow", ["reason"], **at
        )
        self._watch = {
            name: Gauge(f"specacts_watch_{name}", what, **at)
            for name, what in {
                "stopped": "1 where nothing is accepted any more, because the promise does not hold",
                "loss": "Loss per decision",
                "loss_low": "Lower end of its confidence sequence",
                "loss_high": "Upper end of its confidence sequence",
                "limit": "The loss that is promised",
                "decisions": "Decisions that are watched",
                "accepted": "Those of them that were accepted",
                "audited": "Those of them that upstream was asked too",
                "differing": "Those of them in which upstream would have acted otherwise",
                "unknown": "Those audited of which nothing became known: upstream failed, or said no action to go by",
            }.items()
        }

    def answered(self, actor: str, reason: str, seconds: float) -> None:
        """A request's answer has ended. seconds: since it came."""
        self.requests += 1
        self.failures += reason in FAILURES
        self.taken += actor == "cheap"
        self._answers.labels(actor, reason).inc()
        self._seconds.labels(actor).observe(seconds)

    def understood(self, yes: bool) -> None:
        """A request was read: whether it asks for a decision that the models here know."""
        self.decisions += yes
        self.passed_on += not yes

    def relayed(self) -> None:
        """A request for another part of the API was passed on."""
        self.requests += 1
        self.passed_on += 1
        self._answers.labels("upstream", "other_api").inc()

    def beside(self, reason: str) -> None:
        """What the cheap model would have done, or why it would not, where upstream acts anyhow."""
        self.taken += reason == "accepted"
        self.failures += reason in FAILURES
        self._beside.labels(reason).inc()

    def decided(self, usage: Mapping[Role, tuple[int, int, int]], seconds: float) -> None:
        """usage: tokens read anew, found in a cache, and written, by our own models."""
        self._decided.observe(seconds)
        for role, (read, cached, written) in usage.items():
            self._used(role, read, cached, written)
            if self.prices:
                # What a verifier "writes" are the proposals that it reads.
                apart = (read + written, cached, 0) if role == "verifier" else (read, cached, written)
                self._pay(role, spent(getattr(self.prices, role), *apart))

    def upstream(self, used: Used | None, audit: bool = False) -> None:
        """What upstream says that an answer took."""
        if used is None:
            return
        name = "audit" if audit else "upstream"
        self._used(name, used.prompt - used.cached, used.cached, used.completion)
        if self.prices:
            money = spent(self.prices.strong, used.prompt - used.cached, used.cached, used.completion)
            self._money.labels(name, self.prices.currency).inc(money)
            self.saved -= money if audit else 0.0

    def avoided(self, used: Used) -> None:
        """An action that upstream was not asked for: it would have read what the cheap model read."""
        if self.prices:
            money = spent(self.prices.strong, used.prompt - used.cached, used.cached, used.completion)
            self._avoided.labels(self.prices.currency).inc(money)
            self.saved += money

    def audited(self, result: str) -> None:
        self._audits.labels(result).inc()

    def reloaded(self, result: str) -> None:
        self._reloads.labels(result).inc()

    def watched(self, **values: float) -> None:
        for name, value in values.items():
            self._watch[name].set(value)

    def text(self) -> bytes:
        """What /metrics says."""
        return generate_latest(self.registry)

    def _used(self, name: str, read: int, cached: int, written: int) -> None:
        for kind, count in (("read", read), ("cached", cached), ("written", written)):
            self._tokens.labels(name, kind).inc(count)

    def _pay(self, name: str, money: float) -> None:
        assert self.prices is not None
        self._money.labels(name, self.prices.currency).inc(money)
        self.saved -= money


def spent(price: Price, read: int, cached: int, written: int) -> float:
    """Money for tokens that are read anew, read from a cache, and written."""
    return (price.input * read + price.cached_input * cached + price.output * written) / 1e6
