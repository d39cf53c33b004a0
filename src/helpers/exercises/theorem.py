"""Checks of part I, the theorem."""
