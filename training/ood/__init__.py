"""The out-of-distribution detector: fitted, certified, and measured on strangers."""
