"""What a model version knows of its own images: drift reference, signatures of changes."""
