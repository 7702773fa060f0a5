"""What follows from a recipe: in which form a model is trained and asked, and what the verifier judges by.

    asking_form(config.recipe, "strong")

config.py only checks what is written down. What follows from it decides what models read, so it stands here, where the
stages' fingerprints see it.
"""

from specacts.config import Acceptance, Recipe
from specacts.core.words import ROLES, Form, JudgeScore, Role


def training_form(recipe: Recipe) -> Form:
    """How transcripts spell actions in every training."""
    return "words" if recipe.format == "same" else "lines"


def freezes(recipe: Recipe, role: Role) -> bool:
    """Whether this role's model is used as it comes, without an adapter."""
    return role == "strong" and recipe.strong == "frozen"


def is_recorded(recipe: Recipe) -> bool:
    """Whether the strong model is the agent that wrote the traces: never asked, and its actions are the gold ones."""
    return recipe.strong == "recorded"


def has_verifier(recipe: Recipe) -> bool:
    """Whether a verifier is trained; else the groups that it would learn from are for calibration."""
    return recipe.verifier.negatives != "none"


def local_roles(recipe: Recipe) -> tuple[Role, ...]:
    """The roles whose models run here."""
    here = {"cheap": True, "verifier": has_verifier(recipe), "strong": not is_recorded(recipe)}
    return tuple(role for role in ROLES if here[role])


def asking_form(recipe: Recipe, role: Role) -> Form:
    """How transcripts spell actions where this role is asked."""
    return "natural" if freezes(recipe, role) or recipe.format == "mismatched" else "words"


def shows_confidence(recipe: Recipe) -> bool:
    """Whether the verifier reads the proposer's confidence.

    Synthetic negatives have no proposer, hence no confidence; a reward model reads the action alone.
    """
    verifier = recipe.verifier
    return verifier.shows_confidence and verifier.negatives == "on_policy" and verifier.objective == "verdict"


def gives_rewards(recipe: Recipe, role: Role) -> bool:
    """Whether this role's model gives a reward, and no next tokens."""
    return role == "verifier" and recipe.verifier.objective == "reward"


def judge_score(recipe: Recipe, acceptance: Acceptance) -> JudgeScore:
    """What the trained verifier judges by: a reward model by its reward, which is all it has."""
    return "reward" if gives_rewards(recipe, "verifier") else acceptance.score
