"""Sign a message with python3-dkim: sign.py MESSAGE KEY SELECTOR ALGORITHM CANONICALIZATION > SIGNED."""
import sys

import dkim

message, key, selector, algorithm, canonicalization = sys.argv[1:]
with open(message, "rb") as f:
    text = f.read()
with open(key, "rb") as f:
    secret = f.read()
how = canonicalization.encode()
line = dkim.sign(text, selector.encode(), b"signed.test", secret, canonicalize=(how, how), signature_algorithm=algorithm.encode())
sys.stdout.buffer.write(line + text)
