"""The acts of `cxr-train` end to end: files in, progress, files out."""
