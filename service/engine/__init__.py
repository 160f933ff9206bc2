"""Owns the device: load, verify, warm up, run a batch."""
