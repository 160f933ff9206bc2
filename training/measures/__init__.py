"""Scores and labels -> numbers with intervals; pure."""
