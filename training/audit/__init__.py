"""Is it the lungs or the source? Confounding tests with a verdict."""
