"""`python -m service`: the same as `cxr-triage`."""

from service.cli import main

main()
