"""Tests of llmcli: the real command, real sockets on 127.0.0.1."""
