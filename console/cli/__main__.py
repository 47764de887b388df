"""`python -m console.cli`."""

from console.cli.main import main

main()
