"""HTTP in, HTTP out; takes no decision."""
