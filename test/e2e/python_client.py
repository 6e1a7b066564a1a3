"""A client of the socket with nothing but the standard library. Prints what it was told, one JSON value per line."""

import json
import socket
import sys

connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.settimeout(30)
connection.connect(sys.argv[1])
lines = connection.makefile("r", encoding="utf-8")
events = []
last_id = 0


def ask(line):
    """Sends one line and returns the next answer; events that come before it are kept."""
    connection.sendall(line.encode("utf-8") + b"\n")
    return answer()


def answer():
    while True:
        message = json.loads(lines.readline())
        if "id" in message:
            return message
        events.append(message)


def call(method, params):
    global last_id
    last_id += 1
    return ask(json.dumps({"jsonrpc": "2.0", "id": last_id, "method": method, "params": params}))


def until_event(event_type):
    while not any(event["params"]["event"]["type"] == event_type for event in events):
        events.append(json.loads(lines.readline()))


subscribed = call("events.subscribe", {"types": ["enqueued", "started", "completed"]})
enqueued = call("enqueue", {"method": "jobs.greet", "params": {"name": "Zoë"}})
waited = call("job.wait", {"id": enqueued["result"]["id"], "timeout": 30})
until_event("completed")
print(json.dumps({"subscribed": subscribed, "enqueued": enqueued, "waited": waited, "events": events}))

for bad in [
    lambda: ask("{"),
    lambda: ask("[]"),
    lambda: ask('{"jsonrpc": "1.0", "id": 1, "method": "status"}'),
    lambda: call("no.such.method", {}),
    lambda: call("enqueue", {"params": {}}),
    lambda: call("enqueue", {"method": "jobs.greet", "timeout": -1}),
    lambda: call("enqueue", {"method": "jobs.great"}),
    lambda: call("enqueue", {"method": "jobs.greet", "queue": "defualt"}),
    lambda: call("job.get", {"id": "no-such-job"}),
]:
    print(json.dumps(bad()))
