"""The temperature of a calibration: where it is searched, and what it means at a bound."""

import math

TEMPERATURES = (0.05, 20.0)
NEAR_RATIO = 0.05
"""A search within bounds never ends on a bound itself, and where the log-loss is as good as flat
it stops well before it: at 19.8, of a network whose scores were all alike."""


def at_bound_note(temperature: float) -> str:
    """What to tell of a temperature at a bound of its search; empty where it lies inside."""
    low, high = TEMPERATURES
    if not any(abs(math.log(temperature / bound)) < NEAR_RATIO for bound in TEMPERATURES):
        return ""
    return (
        f"The temperature of {temperature:.3f} lies at the bound of its search ({low:g} to "
        f"{high:g}): calibration did not converge inside, and the probabilities are not "
        "calibrated. Too few validation images, or a network that is sure of all or of nothing."
    )
