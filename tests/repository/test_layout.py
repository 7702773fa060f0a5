"""Tests stand where the module stands that they are about, and packages hold no code."""

import ast

import pytest
from places import ROOT

TESTS = sorted(path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py"))
PACKAGES = sorted(
    path for folder in ("specacts", "stages", "benchmarks") for path in (ROOT / folder).rglob("__init__.py")
)
ELSEWHERE = {"benchmarks": "benchmarks", "stages": "stages"}
"""Rooms whose modules are not the library's."""
WHOLE = ("pipeline", "repository")
"""Rooms of tests that are about everything at once."""
EXCEPTIONS = {
    "benchmarks/test_benchmarks.py": "one test for all",
    "models/test_qwen3.py": "a family of models, from its tokenizer to its training",
    "report/test_prose.py": "the words of all templates",
    "stages/test_without_a_verifier.py": "every stage, where the recipe has no verifier",
    "stages/test_interrupted.py": "every stage that asks models, interrupted",
    "traces/formats/test_formats.py": "every format in the same ways",
    "traces/formats/test_failed_results.py": "every format that says whether a call failed",
    "traces/test_cases.py": "what small inputs of every kind end in",
    "traces/test_hostile.py": "whatever the reader is given",
    "transcripts/test_injection.py": "content against structure, in both templates",
}


@pytest.mark.parametrize("path", TESTS, ids=str)
def test_a_test_mirrors_its_module(path):
    room = path.parts[0]
    module = ROOT / ELSEWHERE.get(room, "specacts")
    module /= (path.relative_to(room) if room in ELSEWHERE else path).with_name(path.name.removeprefix("test_"))
    assert module.is_file() or room in WHOLE or str(path) in EXCEPTIONS


def test_no_exception_is_for_nothing():
    assert set(EXCEPTIONS) <= {str(path) for path in TESTS}


def test_packages_say_what_they_hold_and_hold_no_code():
    """What stood there no list of a stage's modules would name (specacts/core/fingerprints.py)."""
    assert len(PACKAGES) > 12
    for path in PACKAGES:
        (only,) = ast.parse(path.read_text(encoding="utf-8")).body
        assert isinstance(only, ast.Expr) and isinstance(only.value.value, str), path


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("[!_]*.*")))
def test_every_script_is_run_for_real(script):
    """By a slow test or a make target that CI runs, or by a script that is."""
    texts = [path.read_text() for path in (ROOT / "Makefile", ROOT / "tests/workspace.py")]
    texts += [path.read_text() for path in (ROOT / "tests/pipeline").glob("*.py")]
    texts += [path.read_text() for path in (ROOT / "scripts").glob("*.py") if path.name != script]
    stem = script.partition(".")[0]
    ways = (f"scripts/{script}", f'"scripts.{stem}"', f"scripts.{stem} --", f"from scripts.{stem} import")
    assert any(way in text for way in ways for text in texts)
