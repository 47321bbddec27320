# One account per line, as JSON: what pyotp reads from its URI, what it writes for it, and its code.
import json
import sys

import pyotp

for line in sys.stdin:
    account = json.loads(line)
    uri, moment = account.pop("uri"), account.pop("moment")
    otp = pyotp.parse_uri(uri)
    totp = isinstance(otp, pyotp.TOTP)
    read = {
        "type": "totp" if totp else "hotp",
        "issuer": otp.issuer,
        "account": otp.name,
        "secret": otp.secret,
        "algorithm": otp.digest().name.upper(),
        "digits": otp.digits,
        "period": otp.interval if totp else None,
        "counter": None if totp else otp.initial_count,
    }
    names = {"name": account["account"], "issuer_name": account["issuer"]}
    # HOTP adds the counter of the URI by itself.
    code = otp.at(moment) if totp else otp.at(0)
    print(json.dumps({"read": read, "uri": otp.provisioning_uri(**names), "code": code}))
