"""The page and the figure of the ablation: what undoing each change of recipe v3 does to every policy.

    page(found)                       # docs/ablation.md, of docs/ablation.json
    draw(found, Path("docs/figures/ablation.png"))

It is no part of the pipeline's report: it takes nine experiments, and says itself of which run it is.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from specacts.core.results import Estimate
from specacts.evaluation.ablation import Ablation, Effect, Made
from specacts.policies.table import POLICIES
from specacts.report.plots import GREY, Keywords, framed, legend_name, save
from specacts.report.wording import COSTS, LEVELS, as_table, interval, side

COLUMNS = ["undone", "policy", "accuracy", "effect", "cost", "effect", "AUROC"]
PAGE = """\
# What each change of recipe v3 does

[v2-v3.md](v2-v3.md) says what follows from this table. Each block is an experiment that undoes one change of recipe v3,
named in the first column, on the same {decisions} test decisions in {groups} groups of scale `{scale}`. *Accuracy* is
that of the {level}; *cost* is in {cost}, relative to v3's A. *Effect* is the experiment's figure minus v3's on the same
decisions, with its 95 % interval; bold where it excludes zero. *AUROC* is that of the score that C, D and E use.

**{made}** README and reports may show another run; on other kinds of processor figures differ by some points
([log](log.md)). `make ablation` repeats the experiments and writes this page and its numbers (`ablation.json`).

{table}

![Effects](figures/ablation.png)
"""


def page(found: Ablation) -> str:
    """The table, with how to read it and of which run it is."""
    rows = _rows("v3", found.base.policies, found.base.auroc)
    for name, undone in found.experiments.items():
        rows += _rows(f"{name}: {undone.what}", undone.policies, undone.auroc)
    return PAGE.format(
        decisions=found.decisions,
        groups=found.groups,
        scale=found.scale,
        level=LEVELS[found.level],
        cost=COSTS[found.cost_model],
        made=run_of(found.base.made, *(undone.made for undone in found.experiments.values())),
        table=as_table(rows, COLUMNS),
    )


def run_of(*made: Made) -> str:
    """Of which runs figures are, in a sentence."""
    return f"These figures are of {' and '.join(_run(one) for one in _different(made))}."


def _run(made: Made) -> str:
    return f"the run of {made.date} at commit {made.commit} on {made.machine}"


def _different(made: Iterable[Made]) -> list[Made]:
    found: list[Made] = []
    for one in made:
        if one not in found:
            found.append(one)
    return found


def _rows(title: str, policies: Mapping[str, Effect], auroc: Mapping[str, float]) -> list[list[str]]:
    return [
        [
            title if name == "A" else "",
            name,
            f"{entry.accuracy.value * 100:.1f} %",
            _effect(entry.accuracy_effect, 100, "+.1f"),
            f"{entry.cost.value:.2f}",
            _effect(entry.cost_effect, 1, "+.2f"),
            f"{auroc[name]:.2f}" if name in auroc else "",
        ]
        for name, entry in policies.items()
    ]


def _effect(estimate: Estimate, scale: float, form: str) -> str:
    scaled = Estimate(*(number * scale for number in estimate))
    if scaled.low == scaled.high == 0:
        return "–"
    return interval(scaled, form) if side(scaled) == "within" else f"**{interval(scaled, form)}**"


def draw(found: Ablation, path: Path) -> None:
    """Each experiment's effect on every policy's accuracy, with intervals."""
    experiments = list(found.experiments.values())
    figure, axes = framed(9.5, 1.6 + 0.62 * len(experiments))
    for place, experiment in enumerate(experiments):
        for n, (policy, entry) in enumerate(experiment.policies.items()):
            value, low, high = (number * 100 for number in entry.accuracy_effect)
            spread = [[max(0, value - low)], [max(0, high - value)]]
            style: Keywords = {
                "color": POLICIES[policy].colour,
                "fmt": "o",
                "markersize": 5,
                "label": legend_name(policy) if not place else None,
            }
            aside = (n - (len(experiment.policies) - 1) / 2) * 0.9 / len(experiment.policies)
            axes.errorbar(value, place + aside, xerr=spread, **style)
    axes.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_yticks(range(len(experiments)), [experiment.what for experiment in experiments])
    axes.invert_yaxis()
    axes.set_xlabel("effect on accuracy against recipe v3, percentage points")
    axes.set_title(f"Undoing one change at a time (run of {found.base.made.date})")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    save(figure, path)
