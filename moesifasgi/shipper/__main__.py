"""``python -m moesifasgi.shipper``: the same as the command ``moesif-shipper``."""

from moesifasgi.shipper.cli import main

main()
