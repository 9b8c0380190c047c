"""The commands of ``moesif-shipper``, one file each. Each loads what it needs when it runs."""
