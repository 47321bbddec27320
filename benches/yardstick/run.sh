#!/usr/bin/env bash
# run.sh FOLDER CALLS: times one code and one verification of a wrong code in other languages, as the best of seven
# times CALLS calls. Writes lines of name, nanoseconds, nanoseconds. Installs what it needs into FOLDER.
set -euo pipefail
folder=$1 calls=$2
mkdir -p "$folder"

time_python() {
  command -v python3 >/dev/null || { echo 'no python3: pyotp is not timed' >&2; return; }
  if ! { [ -x "$folder/python/bin/python3" ] || python3 -m venv "$folder/python"; } >&2 ||
    ! "$folder/python/bin/python3" -m pip install --quiet --disable-pip-version-check pyotp==2.12.0 >&2; then
    echo 'pyotp cannot be installed: not timed' >&2
    return
  fi
  "$folder/python/bin/python3" - "$calls" <<'PYTHON'
import platform, sys, time
import pyotp

calls = int(sys.argv[1])
totp = pyotp.TOTP("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
at = 1111111109

def measure(call, expected):
    assert call() == expected
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter_ns()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter_ns() - start) / calls)
    return best

assert totp.verify("081804", for_time=at + 30, valid_window=1)
code = measure(lambda: totp.at(at), "081804")
verification = measure(lambda: totp.verify("000000", for_time=at, valid_window=1), False)
print(f"pyotp 2.12.0, Python {platform.python_version()}\t{code:.0f}\t{verification:.0f}")
PYTHON
}

time_node() {
  command -v node >/dev/null && command -v npm >/dev/null || { echo 'no node: otpauth and otplib are not timed' >&2; return; }
  if ! npm install --silent --no-audit --no-fund --prefix "$folder/node" otpauth@9.5.2 otplib@13.5.0 >&2; then
    echo 'otpauth and otplib cannot be installed: not timed' >&2
    return
  fi
  node - "$folder/node/node_modules" "$calls" <<'JAVASCRIPT'
const [modules, calls] = [process.argv[2], Number(process.argv[3])];
const { createRequire } = require('module');
const assert = require('assert');
const from = createRequire(require('path').resolve(modules, 'x.js'));
const otpauth = from('otpauth'), otplib = from('otplib');
const key = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', at = 1111111109;

function measure(call, expected) {
  assert.deepStrictEqual(call(), expected);
  for (let i = 0; i < 200; i++) call(); // compiled by then
  let best = Infinity;
  for (let round = 0; round < 7; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) call();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / calls);
  }
  return best.toFixed(0);
}

function report(name, code, right, wrong) {
  assert(right());
  const line = [`${name}, Node.js ${process.versions.node}`, measure(code, '081804'), measure(wrong, false)];
  console.log(line.join('\t'));
}

const totp = new otpauth.TOTP({ secret: otpauth.Secret.fromBase32(key) });
const validate = (token, at) => totp.validate({ token, timestamp: at * 1000, window: 1 }) !== null;
report('otpauth 9.5.2', () => totp.generate({ timestamp: at * 1000 }),
  () => validate('081804', at + 30), () => validate('000000', at));

const verify = (token, epoch) => otplib.verifySync({ secret: key, token, epoch, epochTolerance: 30 }).valid;
report('otplib 13.5.0', () => otplib.generateSync({ secret: key, epoch: at }),
  () => verify('081804', at + 30), () => verify('000000', at));
JAVASCRIPT
}

time_python
time_node
