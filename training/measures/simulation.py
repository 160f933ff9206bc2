"""Does the guarantee of a certified threshold hold? Draw the sample again and count.

Scores are log-odds here: a threshold moves with them, and a sensitivity does not.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.special import logit
from scipy.stats import norm

from service.core.artifact import MetricInterval
from training.measures.evidence import Simulation
from training.measures.statistics import (
    RISK,
    SMALLEST_PROBABILITY,
    Numbers,
    certified_threshold,
    misses_allowed,
    positives_needed,
    wilson,
)

DRAWS = 2000
SEED = 20_250
STANDARD_ERRORS = 3
TARGETS = (0.90, 0.95, 0.97)
MISSES = (0, 1, 3, 5)


class Population(Protocol):
    """Where positives come from, so that a threshold's true sensitivity is known."""

    @property
    def description(self) -> str:
        """For the table."""

    def draw(self, positives: int, generator: np.random.Generator) -> Numbers:
        """Scores of so many positives."""

    def sensitivity(self, threshold: float) -> float:
        """Share of the population at or above the threshold."""


@dataclass(frozen=True, slots=True)
class LogOddsNormal:
    """Continuous: log-odds of a normal distribution."""

    mean: float = 2.0
    standard_deviation: float = 1.5

    @property
    def description(self) -> str:
        """For the table."""
        return f"log-odds normal, mean {self.mean:.2f}, sd {self.standard_deviation:.2f}"

    def draw(self, positives: int, generator: np.random.Generator) -> Numbers:
        """Scores of so many positives."""
        return generator.normal(self.mean, self.standard_deviation, positives)

    def sensitivity(self, threshold: float) -> float:
        """Share of the population at or above the threshold."""
        return float(norm.sf(threshold, self.mean, self.standard_deviation))


@dataclass(frozen=True, slots=True)
class Resampled:
    """The positives at hand taken as the whole population; ties count as they fall."""

    log_odds: Numbers = field(repr=False)

    @property
    def description(self) -> str:
        """For the table."""
        return f"the {len(self.log_odds)} positives themselves, drawn with replacement"

    def draw(self, positives: int, generator: np.random.Generator) -> Numbers:
        """Scores of so many positives."""
        return generator.choice(self.log_odds, positives)

    def sensitivity(self, threshold: float) -> float:
        """Share of the population at or above the threshold."""
        return float((self.log_odds >= threshold).mean())


def simulate(
    name: str,
    population: Population,
    positives: int,
    target_sensitivity: float,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    risk: float = RISK,
) -> Simulation:
    """Certify a threshold on each of many samples and count how often the truth is below target.

    The naive threshold beside it is the empirical quantile: the share that the sample shows.
    """
    generator = np.random.default_rng(seed)
    certified, naive = np.empty(draws), np.empty(draws)
    allowed = misses_allowed(positives, target_sensitivity, risk)
    for index in range(draws):
        sample = population.draw(positives, generator)
        threshold = certified_threshold(sample, target_sensitivity, risk).threshold
        certified[index] = np.nan if threshold is None else population.sensitivity(threshold)
        naive[index] = population.sensitivity(float(np.quantile(sample, 1 - target_sensitivity)))
    is_certifiable = allowed is not None
    return Simulation(
        name=name,
        population=population.description,
        target_sensitivity=target_sensitivity,
        positives=positives,
        draws=draws,
        seed=seed,
        misses_allowed=allowed,
        certified_missed=_missed(certified, target_sensitivity) if is_certifiable else None,
        naive_missed=_missed(naive, target_sensitivity),
        certified_sensitivity=float(certified.mean()) if is_certifiable else None,
        naive_sensitivity=float(naive.mean()),
        allowed=risk + STANDARD_ERRORS * float(np.sqrt(risk * (1 - risk) / draws)),
    )


def simulate_positives(
    name: str,
    probabilities: Numbers,
    target_sensitivity: float,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> tuple[Simulation, ...]:
    """Both populations for the positives of an operating point; nothing where there is none."""
    if not len(probabilities):
        return ()
    bounded = np.clip(
        probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY
    )
    log_odds = logit(bounded)
    fitted = LogOddsNormal(float(log_odds.mean()), max(float(log_odds.std()), 1e-3))
    return tuple(
        simulate(name, population, len(log_odds), target_sensitivity, draws=draws, seed=seed)
        for population in (Resampled(log_odds), fitted)
    )


def simulate_table(
    population: Population, *, draws: int = DRAWS, seed: int = SEED
) -> tuple[Simulation, ...]:
    """At the fewest positives that certify each target, and at one positive fewer than any."""
    return tuple(
        simulate("", population, positives, target, draws=draws, seed=seed)
        for target in TARGETS
        for positives in (
            positives_needed(target, 0) - 1,
            *(positives_needed(target, misses) for misses in MISSES),
        )
    )


def _missed(sensitivities: Numbers, target_sensitivity: float) -> MetricInterval:
    # A share of a finite population is exact to rounding only.
    below = sensitivities < target_sensitivity - 1e-12
    return wilson(int(below.sum()), len(below))
