"""Numbers -> terminal, report.html and model card."""
