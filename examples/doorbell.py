#!/usr/bin/env python3
"""A doorbell: says when a contact comes or goes, and answers messages while you are away.

    examples/doorbell.py [--home DIR] [--times N] [--answer TEXT]

It needs a running node (`porchlight run`) and nothing but Python's standard library. docs/api-tour.md goes through it.
"""

import argparse
import itertools
import json
import os
import socket
import sys

CONSUMER = "doorbell"


class Node:
    """A connection to a node: calls, and the events that come in between."""

    def __init__(self, home):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(home, "rpc.sock"))
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.numbers = itertools.count(1)
        self.events = []

    def call(self, method, **params):
        number = next(self.numbers)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.socket.sendall((json.dumps(request) + "\n").encode())
        while True:
            line = self.read()
            if line.get("method") == "event":
                self.events.append(line["params"])
            elif line.get("id") == number:
                if "error" in line:
                    raise Refused(method, line["error"])
                return line["result"]

    def event(self):
        """The next event, waiting for it if there is none."""
        while not self.events:
            line = self.read()
            if line.get("method") == "event":
                self.events.append(line["params"])
        return self.events.pop(0)

    def read(self):
        line = self.lines.readline()
        if not line:
            sys.exit("the node has stopped")
        return json.loads(line)


class Refused(Exception):
    """The node's answer to a call is an error: a kind for programs, a message and a hint for people."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error['message']}")
        self.kind = error["data"]["kind"]


def tell(event, node, answer):
    """Says what an event means, if it is one that a doorbell rings for; whether it was."""
    data = event["data"]
    if event["kind"] == "presence.changed":
        old, new = data["old"]["status"], data["new"]["status"]
        if old == new:
            return False
        note = "".join(f" ({note['text']})" for note in data["new"].get("notes", [])[:1])
        print(f"{data['new']['contact']}: {old} -> {new}{note}", flush=True)
        return True
    if event["kind"] == "message.received":
        message = node.call("message.get", message=data["message"])["message"]
        print(f"{message['contact']} writes: {message.get('text', '(no text)')}", flush=True)
        if answer and node.call("presence.list")["own"]["status"] != "open":
            # The event may be given again after a crash. With a key of its own the answer is sent once all the same.
            key = f"{CONSUMER}-{event['number']}"
            node.call("message.send", contact=data["contact"], text=answer, idempotency_key=key)
        return True
    return False


def main():
    usual = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "porchlight")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", default=os.environ.get("PORCHLIGHT_HOME") or usual)
    parser.add_argument("--times", type=int, help="end after it has rung so many times")
    parser.add_argument("--answer", help="what is answered to messages unless you are open")
    args = parser.parse_args()
    try:
        node = Node(args.home)
    except OSError as error:
        sys.exit(f"no node is running for {args.home} ({error.strerror}): start it with `porchlight run`")

    for told in node.call("presence.list")["contacts"]:
        print(f"{told['contact']} is {told['status']}", flush=True)

    # A consumer goes on where it left off, so that nothing is missed while this program is not running.
    node.call("events.subscribe", consumer=CONSUMER, **{"from": "now"})
    rung = 0
    while args.times is None or rung < args.times:
        event = node.event()
        rung += tell(event, node, args.answer)
        node.call("events.ack", consumer=CONSUMER, number=event["number"])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
