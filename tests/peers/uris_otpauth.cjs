// One account per line, as JSON: what otpauth reads from its URI, what it writes for it, and its code.
const { HOTP, TOTP, URI } = require("otpauth");

for (const line of require("node:fs").readFileSync(0, "utf8").trim().split("\n")) {
  const account = JSON.parse(line);
  const otp = URI.parse(account.uri);
  const totp = otp instanceof TOTP;
  const read = {
    type: totp ? "totp" : "hotp",
    issuer: otp.issuer || null,
    account: otp.label,
    secret: otp.secret.base32,
    algorithm: otp.algorithm,
    digits: otp.digits,
    period: totp ? otp.period : null,
    counter: totp ? null : otp.counter,
  };
  const { issuer, account: label, secret, algorithm, digits, period, counter } = account;
  const settings = { issuer: issuer ?? "", label, secret, algorithm, digits };
  const own = totp ? new TOTP({ ...settings, period }) : new HOTP({ ...settings, counter });
  const code = totp ? otp.generate({ timestamp: account.moment * 1000 }) : otp.generate({ counter });
  console.log(JSON.stringify({ read, uri: own.toString(), code }));
}
