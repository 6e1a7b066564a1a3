"""Speaks to the socket with nothing but the standard library, and prints what it was answered, one JSON value per line."""

import json
import socket
import sys

connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.settimeout(10)
connection.connect(sys.argv[1])
lines = connection.makefile("r", encoding="utf-8")


def ask(line):
    connection.sendall(line.encode("utf-8") + b"\n")
    print(json.dumps(json.loads(lines.readline())))


def call(method, params):
    ask(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))


call("enqueue", {"method": "reports.daily.run", "params": {"name": "Zoë"}, "queue": "long"})
ask("{")
ask("{}")
call("no.such.method", {})
call("enqueue", {"queue": "long"})
call("enqueue", {"method": "quirks.defect"})
