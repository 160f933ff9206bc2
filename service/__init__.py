"""What runs in the hospital: reads a chest radiograph and says how soon to look at it."""

__version__ = "0.1.0"
