"""`python -m pretrain`: the command line"""
from pretrain.cli import main

raise SystemExit(main())
