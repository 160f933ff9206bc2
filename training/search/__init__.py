"""Recipes compared by the sources that they did not train on."""
