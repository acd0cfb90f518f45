"""Verify every DKIM signature of a message with python3-dkim: verify.py MESSAGE RECORDS."""
import sys

import dkim

with open(sys.argv[2], "rb") as f:
    records = dict(line.rstrip(b"\n").split(b" ", 1) for line in f)
with open(sys.argv[1], "rb") as f:
    message = f.read()


def lookup(name, timeout=5):
    return records.get(name.rstrip(b"."))


signatures = sum(name.lower() == b"dkim-signature" for name, _ in dkim.rfc822_parse(message)[0])
for i in range(signatures):
    d = dkim.DKIM(message)
    ok = d.verify(idx=i, dnsfunc=lookup)
    print("python3-dkim", d.signature_fields[b"a"].decode(), "pass" if ok else "fail")
