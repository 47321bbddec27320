// One account per line, as JSON: what otplib reads from its URI, what it writes for it, and its code.
const { generateSync, generateURI } = require("otplib");
const { parse } = require("@otplib/uri");

for (const line of require("node:fs").readFileSync(0, "utf8").trim().split("\n")) {
  const account = JSON.parse(line);
  const { type, label, params } = parse(account.uri);
  const prefix = params.issuer === undefined ? "" : params.issuer + ":";
  const totp = type === "totp";
  const read = {
    type,
    issuer: params.issuer ?? null,
    // It leaves the label to the caller.
    account: label.startsWith(prefix) ? label.slice(prefix.length) : label,
    secret: params.secret,
    algorithm: (params.algorithm ?? "sha1").toUpperCase(),
    digits: params.digits ?? 6,
    period: totp ? (params.period ?? 30) : null,
    counter: totp ? null : params.counter,
  };
  const settings = {
    strategy: type,
    secret: account.secret,
    algorithm: account.algorithm.toLowerCase(),
    digits: account.digits,
    ...(totp ? { period: account.period } : { counter: account.counter }),
  };
  const uri = generateURI({ ...settings, issuer: account.issuer ?? "", label: account.account });
  const code = generateSync({ ...settings, ...(totp && { epoch: account.moment }) });
  console.log(JSON.stringify({ read, uri, code }));
}
