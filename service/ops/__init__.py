"""What keeps a site going: backup and restore, and the self-check of an installation."""
