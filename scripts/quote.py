"""What README and docs quote of results, of commands and of the code, so that no such line is written by hand.

    python -m scripts.quote              # rewrite what is quoted (`make docs`)
    python -m scripts.quote --check      # would that change a document? (`make check`)

In a document stands a comment that calls a function of this module; `cog` puts what it prints behind it:

    <!-- [[[cog print(quote.answer()) ]]] -->
    <!-- [[[end]]] -->

Results (`reports/`, `metrics/`) are quoted from the working tree. The check also accepts those of the latest commit, so
that your own run, which changes them, breaks nothing.
"""

import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml
from cogapp import Cog

from scripts import compare
from specacts.config import load_config
from specacts.core.errors import UserError, one_line_errors
from specacts.core.words import ROLES
from specacts.evaluation.ablation import Ablation, Made
from specacts.evaluation.results import Evaluation
from specacts.policies.choose import enough_groups
from specacts.report.ablation import run_of
from specacts.report.wording import COSTS, percent, ratio

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "specacts"
DOCUMENTS = ("*.md", "docs/**/*.md", "data/README.md", "models/README.md")
IMPORT = "from scripts import quote"
COMMITTED = f"{IMPORT}; quote.revision = 'HEAD'"
PRESENT = f"{IMPORT}; quote.revision = None"

revision: str | None = None
"""The commit that results are read from; None: the working tree."""


def main(check: bool) -> None:
    if not check:
        if cog("-r", "-p", PRESENT, *documents_that_quote()):
            raise UserError("a document could not be written")
        return
    found = [differences(results) for results in (COMMITTED, PRESENT)]
    if all(found):
        print(min(found, key=len))
        raise UserError("README or docs quote what has changed since; run `make docs`")


def differences(results: str) -> str:
    """What rewriting the documents would change; empty if nothing."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        changed = cog("--check", "--diff", "-p", results, *documents_that_quote())
    return said.getvalue() if changed else ""


def documents_that_quote() -> list[str]:
    found = sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern))
    return [str(path) for path in found if "[[[cog" in path.read_text(encoding="utf-8")]


def cog(*arguments: str) -> int:
    """Run cog on documents; its exit code, 0 where all went well or nothing would change."""
    return Cog().main(["cog", "-P", "-U", "--verbosity=1", *arguments])


# -- results ------------------------------------------------------------------------------------------------


def result(name: str) -> str:
    """A result's text, as `revision` says; the working tree's where Git does not hold it."""
    if revision:
        done = subprocess.run(["git", "show", f"{revision}:{name}"], cwd=ROOT, capture_output=True)
        if done.returncode == 0:
            return done.stdout.decode()
    return (ROOT / name).read_text(encoding="utf-8")


def answer(of: str = "") -> str:
    """The report's answer, and what it says of the two models alone; `of`: a run in docs/results, not the latest."""
    return "\n\n".join(part for part in section("", of) if part.startswith(("**", "The strong model alone")))


def advice(of: str = "") -> str:
    """The report's table of what to use at which risk, the sentence before it included; then its savings otherwise."""
    parts = section("What to do", of)
    at = next(number for number, part in enumerate(parts) if part.startswith("|"))
    otherwise = parts[at + 1 : at + 3] if "".join(parts[at + 1 : at + 2]).startswith("**What is saved") else []
    return "\n\n".join(parts[: at + 1] + otherwise)


def policies(*columns: str, of: str = "") -> str:
    """The report's table of policies without the baselines, cut to some columns; then what it rests on."""
    parts = section("What every policy does", of)
    at = next(number for number, part in enumerate(parts) if part.startswith("|"))
    head, _, *rows = (cells(row) for row in parts[at].splitlines())
    kept = [head.index(column) for column in ("policy", *columns)]
    lines = [head, ["---"] * len(head), *(row for row in rows if not row[0].startswith("*"))]
    rests_on = section("What it rests on", of)[0]
    return "\n".join(line([row[number] for number in kept]) for row in lines) + f"\n\n{rests_on}"


def ablation() -> Ablation:
    """What `make ablation` found when it last ran, which may be another run than the one that the reports are of."""
    return Ablation.model_validate_json(result("docs/ablation.json"))


def made() -> str:
    """Of which runs the ablation's figures are, v2 beside v3 among them; and whether README's are of the same."""
    found, shown = ablation(), json.loads(result("metrics/eval.json"))["policies"]
    theirs = {name: entry[f"{found.level}_accuracy"] for name, entry in shown.items()}
    same = all(theirs.get(name) == entry.accuracy.value for name, entry in found.base.policies.items())
    others = "the same run" if same else "another run, so v3 has other figures there"
    said = run_of(found.base.made, *(undone.made for undone in found.experiments.values()))
    return f"*{said} README and reports show {others}.*"


def v2_and_v3() -> str:
    """Both recipes' policies, from the ablation: accuracy, cost in FLOPs relative to the same recipe's A."""
    found = json.loads(result("docs/ablation.json"))
    recipes = [found["experiments"]["v2"]["policies"], found["base"]["policies"]]
    lines = [["", "v2: accuracy", "v2: cost", "v3: accuracy", "v3: cost"], ["---"] * 5]
    for name in recipes[0]:
        lines.append([name])
        for found_in in recipes:
            accuracy = [100 * found_in[name][f"accuracy{end}"] for end in ("", "_low", "_high")]
            cost = found_in[name]["cost"] / found_in["A"]["cost"]
            lines[-1] += ["{:.1f} % ({:.0f}–{:.0f})".format(*accuracy), f"{cost:.2f}"]
    return "\n".join([*map(line, lines), "", made()])


def rungs(of: str = "") -> str:
    """The ladder's three models as actors, each alone: how often right, and at which cost relative to the strong one.

    The verifier's only where it can act.
    """
    found = Evaluation.model_validate_json(result(kept("metrics/eval.json", of)))
    alone = {"cheap": found.policies["B"], "verifier": found.baselines.get("middle"), "strong": found.policies["A"]}
    columns = [name for name in COSTS if name != "upstream"]
    rows = [["alone", "action type", "full call", *(COSTS[name] for name in columns)], ["---"] * (3 + len(columns))]
    for role, entry in alone.items():
        if entry:
            right = [percent(entry.type_accuracy), percent(entry.call_accuracy)]
            rows.append([role, *right, *(ratio(entry.cost[name]) for name in columns)])
    return "\n".join(map(line, rows))


def run_behind(of: str) -> str:
    """Of which commit, day and processor a run in docs/results is, and how long its models took."""
    return f"*{run_of(Made.model_validate_json(result(kept('made.json', of))))} {durations(of)}*"


def kept(name: str, of: str) -> str:
    """Where a result lies: in the working tree or, of a run that `scripts/keep.py` kept, in docs/results."""
    return f"docs/results/{of}/{name.removeprefix('reports/')}" if of else name


def middle(of: str = "") -> str:
    """What the appendix says of a middle model that acts instead of a judge, without its table.

    Nothing where the verifier's model cannot act.
    """
    parts = section("Is the verifier worth its cost?", of)
    heads = [number for number, part in enumerate(parts) if part == "### A judge, or a middle model that acts?"]
    ends = [number for number, part in enumerate(parts) if part.startswith("Each policy minus the cascade")]
    return "\n\n".join(parts[heads[0] + 1 : ends[0]]) if heads and ends else ""


def plan_of(scale: str) -> str:
    """What `specacts plan` prints of a scale, as `make plans` kept it."""
    return fenced("\n".join(json.loads((ROOT / "docs/plans.json").read_text(encoding="utf-8"))[scale]["screen"]))


def hours_of(scale: str) -> str:
    """How long a scale takes on each kind of GPU, by the same plan."""
    found = json.loads((ROOT / "docs/plans.json").read_text(encoding="utf-8"))[scale]["gpus"]
    rows = [["one of these", "has room", "the trainings, hours", "everything, hours"], ["---"] * 4]
    rows += [[one["gpu"], one["fits"], one["trainings"], one["all"]] for one in found]
    return "\n".join(map(line, rows))


def benchmark(name: str) -> str:
    """The table that a benchmark printed when it last ran at full size, as it is kept beside it."""
    said = (ROOT / "benchmarks" / f"{name}.txt").read_text(encoding="utf-8")
    return "\n".join(row for row in said.splitlines() if row.startswith("|"))


def comparison() -> str:
    """What `make compare OLD=v2 NEW=v3` prints, from the ablation, which compares the same two experiments."""
    found = ablation()
    old, new = found.experiments["v2"].policies, found.base.policies
    asked = (found.decisions, found.groups, found.level, found.cost_model)
    return fenced(f"{compare.table('v2', 'v3', old, new)}\n\n{compare.explained('v3', *asked)}") + f"\n\n{made()}"


def durations(of: str = "") -> str:
    """How long the costly stages took, in the run that the figures are of."""
    names = (*(f"train/{role}" for role in ROLES), "answer")
    *trainings, answers = (json.loads(result(kept(f"metrics/{name}.json", of)))["seconds"] for name in names)
    took = (
        f"the three trainings took {sum(trainings) / 60:.0f} minutes and the answers {answers / 60:.0f}, without a GPU"
    )
    return f"In the run whose results are shown here, {took}."


def reliability() -> str:
    """What became of the trials of `tests/chaos.py`, as a table."""
    found = json.loads((ROOT / "docs/reliability.json").read_text(encoding="utf-8"))
    rows = [["", "trials", "what became of them"], ["---"] * 3]
    kills = found["kills"]
    for how in sorted({trial["how"] for trial in kills}):
        of = [trial for trial in kills if trial["how"] == how]
        rows.append([how, str(len(of)), f"{sum(trial['same bytes'] for trial in of)} ended in the same bytes"])
    for what in sorted({trial["what"] for trial in found["damages"]}):
        of = [trial for trial in found["damages"] if trial["what"] == what]
        noticed, silent = (sum(bool(trial[key]) for trial in of) for key in ("noticed by", "silent"))
        ended = sum(trial["same bytes"] for trial in of)
        told = f"{noticed} noticed, {len(of) - noticed - silent} harmless, {silent} silent"
        rows.append([f"damaged: {what}", str(len(of)), f"{told}; {ended} ended in the same bytes"])
    for trial in found["disks"]:
        told = f"exit code {trial['exit']}, old outputs {'whole' if trial['old outputs whole'] else 'NOT whole'}"
        rows.append([f"disk full: {trial['disk']}", "1", f"{told}, {'cured' if trial['cured'] else 'NOT cured'}"])
    return "\n".join(map(line, rows))


def lost_to_a_kill() -> str:
    """By stage: how long it takes on the smoke scale, and whether it ran again after a kill as it ended."""
    found = json.loads((ROOT / "docs/reliability.json").read_text(encoding="utf-8"))
    ends = [trial for trial in found["kills"] if trial["moment"] == "as it ends"]
    rows = [["stage", "takes (smoke scale)", "killed as it ended", "ran again"], ["---"] * 4]
    for stage, seconds in found["undisturbed"]["seconds"].items():
        again = [trial["ran again"] for trial in ends if trial["stage"] == stage]
        if again:
            rows.append([f"`{stage}`", f"{seconds:.0f} s", str(len(again)), str(sum(again))])
    return "\n".join(map(line, rows))


def section(title: str, of: str = "") -> list[str]:
    """The paragraphs of a section of the report or its appendix; those before the first heading for no title."""
    text = "".join(f"\n{result(kept(f'reports/{name}.md', of))}" for name in ("report", "appendix"))
    return (text.partition(f"\n## {title}\n")[2] if title else text).partition("\n## ")[0].strip().split("\n\n")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def line(row: list[str]) -> str:
    return f"| {' | '.join(row)} |"


# -- commands -----------------------------------------------------------------------------------------------


def make_help() -> str:
    """What `make help` prints."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, env=quiet, capture_output=True, text=True)
    return fenced(done.stdout)


def specacts(*arguments: str) -> str:
    """What the `specacts` command prints on a terminal of 80 columns."""
    command = [sys.executable, "-m", "specacts", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"COLUMNS": "80"}, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"specacts {' '.join(arguments)}: exit code {done.returncode}: {done.stderr}{done.stdout}")
    return fenced(done.stdout)


def using(traces: str) -> str:
    """What `specacts use` prints, in a folder of its own whose settings are those of the quoted revision."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "params.yaml").write_text(result("params.yaml"), encoding="utf-8")
        for name in ("configs", "examples"):
            (root / name).symlink_to(ROOT / name)
        command = [sys.executable, "-m", "specacts", "use", traces]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"specacts use {traces}: exit code {done.returncode}: {done.stderr}{done.stdout}")
    return fenced("\n".join(line for line in done.stdout.splitlines() if "params.yaml" not in line))


def draft(traces: str) -> str:
    """The lines of tools, and of rules for their arguments, that `specacts types suggest` drafts."""
    everything = specacts("types", "suggest", traces).splitlines()
    return fenced("\n".join(line for line in everything if line and line[0] not in "#`"))


def fenced(text: str) -> str:
    return f"```\n{text.strip(chr(10))}\n```"


# -- errors -------------------------------------------------------------------------------------------------


def refusals() -> str:
    """What is said of some wrong `acceptance` settings, as a table."""
    asked: list[dict[str, Any]] = [
        {"risk": 1.5},
        {"risk": 0.1, "risk_by_type": {"file_wrote": 0}},
        {"policies": ["H"]},
        {"risk": 0.01},
    ]
    found = json.loads(result("metrics/calibrate.json"))
    there = [found["mean_weight"]] * found["groups"]
    rows = [["you ask for", "you get"], ["---", "---"]]
    for settings in asked:
        written = ", ".join(f"`{name}: {json.dumps(value)}`" for name, value in settings.items())
        rows.append([written, f"`{refusal(settings, there)}`"])
    return "\n".join(map(line, rows))


def refusal(settings: dict[str, Any], there: list[float]) -> str:
    """What is said of settings of `acceptance` where the calibration split has groups of these weights."""
    values = yaml.safe_load(result("params.yaml"))
    values["acceptance"] |= settings
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        (root / "configs").symlink_to(ROOT / "configs")
        try:
            acceptance = load_config(root).acceptance
            enough_groups(there, acceptance)
        except UserError as error:
            return str(error).replace(f"{root}/", "")
    raise UserError(f"{settings} is not refused")


# -- the tree -----------------------------------------------------------------------------------------------


FOLDERS = """\
dvc.yaml dvc.lock      the pipeline and its committed state
params.yaml configs/   what people vary; scales, recipes, price tables, which tool is which action type
stages/                one file a stage: reads, calls the library, writes; python -m stages.<stage>
specacts/              the library; a room uses only those above it
{rooms}
data/ models/          what the pipeline makes; DVC keeps it
metrics/ reports/      its small results; Git keeps them
tests/                 one folder for each room; tests/pipeline drives the real commands
examples/              a shop's support agent: conversations to try before you use your own
benchmarks/ scripts/   speed, simulations and comparisons; what `make` calls
docs/                  a page for each question, decisions, a log of what was tried
"""


def tree() -> str:
    """What lies where: the folders, and the rooms of the library."""
    return fenced(FOLDERS.format(rooms="\n".join(rooms())))


def rooms() -> list[str]:
    """A line a room of the library: its name, what its docstring says first. A room uses only those above it."""
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    names = re.findall(r"specacts\.(\w+)", contracts["importlinter:contract:rooms"]["layers"])[::-1]
    folders = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    if folders - set(names):
        raise UserError(f".importlinter: layers do not hold {', '.join(sorted(folders - set(names)))}")
    found = []
    for name in names:
        shown = f"{name}/" if name in folders else f"{name}.py"
        path = LIBRARY / name / "__init__.py" if name in folders else LIBRARY / shown
        found.append(f"  {shown:<13} {says_first(path)}")
    return found


def outputs(folder: str) -> str:
    """What each stage writes into a folder, and what its docstring says first."""
    rows = [["stage", "writes", "its task"], ["---"] * 3]
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].items():
        body = stage.get("do", stage)
        does = says_first(ROOT / f"{body['cmd'].split()[2].replace('.', '/')}.py")
        paths = [out if isinstance(out, str) else next(iter(out)) for out in body["outs"]]
        written = ", ".join(f"`{path}`" for path in paths if path.startswith(f"{folder}/"))
        for key in stage.get("foreach", [""]) if written else ():
            rows.append([f"`{name}@{key}`" if key else f"`{name}`", written.replace("${key}", key), does])
    return "\n".join(map(line, rows))


def readers(path: str) -> str:
    """The stages that depend on a file, in the pipeline's order."""
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return ", ".join(f"`{name}`" for name, stage in found.items() if path in stage.get("do", stage)["deps"])


def says_first(path: Path) -> str:
    """The first sentence of a module's docstring."""
    said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
    return " ".join(said.split()).partition(". ")[0].rstrip(".")


if __name__ == "__main__":
    with one_line_errors():
        if sys.argv[1:] not in ([], ["--check"]):
            raise UserError("usage: python -m scripts.quote [--check]")
        main(check=bool(sys.argv[1:]))
