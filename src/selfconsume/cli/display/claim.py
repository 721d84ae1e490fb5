"""Whether the claim of a study file holds in its results."""

from __future__ import annotations

from typing import Any

from selfconsume.analysis import claims
from selfconsume.cli.display.console import say
from selfconsume.results.store import Store


def describe(store: Store) -> None:
    """Prints the claim, whether it holds, and the numbers of each check; nothing where the study file states none."""
    judged = claims.of_store(store)
    if judged is None:
        return
    say(f"claim: {judged.claim.statement} ({judged.claim.source})")
    say(f"the claim {judged.summary}")
    for outcome in judged.outcomes:
        word = "holds" if outcome.holds else "fails"
        problem = f"; {outcome.problem}" if outcome.problem else ""
        say(f"  {word}  {outcome.check.says}: {claims.numbers_of(outcome)}; {outcome.seeds} seeds{problem}")


def facts(store: Store) -> dict[str, Any] | None:
    """The claim and its checks as plain values, None for what is not finite: for JSON."""
    judged = claims.of_store(store)
    if judged is None:
        return None
    checks = [
        {
            "says": outcome.check.says,
            "holds": outcome.holds,
            "expected": outcome.check.expected,
            **{name: _finite(getattr(outcome, name)) for name in ("measured", "reference", "low", "high")},
            "seeds": outcome.seeds,
            "problem": outcome.problem,
        }
        for outcome in judged.outcomes
    ]
    return {
        "statement": judged.claim.statement,
        "source": judged.claim.source,
        "holds": judged.holds,
        "problem": judged.problem,
        "checks": checks,
    }


def _finite(value: float) -> float | None:
    """JSON has no nan and no infinity."""
    return value if abs(value) < float("inf") else None
