"""Each revision in a file."""
