"""Protocols over HTTP: client, stream decoding, errors."""
