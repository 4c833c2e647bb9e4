"""Providers: table, addresses, keys, network, prices."""
