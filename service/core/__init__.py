"""The kernel of serving and training: pure, no web, no process, no torch but in `network`."""
