# One account per line, as JSON: what Yubico's parser reads from its URI. It writes none, and a key makes the codes.
import base64
import json
import sys

from yubikit.oath import CredentialData

for line in sys.stdin:
    data = CredentialData.parse_uri(json.loads(line)["uri"])
    kind = data.oath_type.name.lower()
    read = {
        "type": kind,
        "issuer": data.issuer,
        "account": data.name,
        "secret": base64.b32encode(data.secret).decode().rstrip("="),
        "algorithm": data.hash_algorithm.name,
        "digits": data.digits,
        "period": data.period if kind == "totp" else None,
        "counter": data.counter if kind == "hotp" else None,
    }
    print(json.dumps({"read": read, "stored": len(data.get_id())}))
