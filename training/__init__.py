"""What runs on the research machine: makes the versioned, verifiable artifacts that are served."""
