// Uses the example in a real browser as its users would. tests/it/browser.rs starts the example and this script.
//
// APP is the address of the example. CONTROL is a server of the test: it sets the clock forward and reads QR codes.
// PICTURES is a folder for the screenshots, and RECORDED is the folder with those to compare them to.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { createHmac } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const { APP, CONTROL, PICTURES, RECORDED, ZXING } = process.env;
const PASSWORD = 'correct horse battery';
const SETTINGS = `${APP}/second-factor`;
let checked = 0;

// A phone with an authenticator app. Each code is used once, so the clock goes forward before each of them.
async function code(app) {
  const now = BigInt(await (await fetch(`${CONTROL}/advance`, { method: 'POST' })).text());
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(now / 30n);
  const hash = createHmac('sha1', base32(new URL(app).searchParams.get('secret'))).update(counter).digest();
  const offset = hash[19] & 15;
  return String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

function base32(text) {
  const bits = [...text].map((symbol) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(symbol).toString(2).padStart(5, '0'));
  return Buffer.from(bits.join('').match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

// Reads the QR code off a screenshot of the whole window, with keyfob and with ZXing.
async function scan(page) {
  const picture = await page.screenshot();
  const answer = await fetch(`${CONTROL}/qr`, { method: 'POST', body: picture });
  const uri = await answer.text();
  assert.equal(answer.status, 200, uri);
  assert.equal(uri, await page.getByRole('link', { name: /authenticator app on this device/ }).getAttribute('href'));
  if (ZXING) {
    const script = 'import sys, zxingcpp\nfrom PIL import Image\n' +
      'print("\\n".join(found.text for found in zxingcpp.read_barcodes(Image.open(sys.stdin.buffer))))';
    assert.equal(execFileSync('python3', ['-c', script], { input: picture }).toString().trim(), uri);
  }
  return uri;
}

// What is true of every page: no violation of the accessibility rules in both color schemes, nothing wider than the
// window, and the keyboard reaches everything.
async function check(page, name) {
  checked += 1;
  const has = await page.evaluate(() => typeof window.axe === 'object');
  if (!has) await page.evaluate(axe);
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(found, [], `${name}, ${colorScheme}`);
  }
  const size = page.viewportSize();
  for (const dir of ['rtl', 'ltr']) {
    for (const width of [320, 640]) {
      await page.setViewportSize({ width, height: 800 });
      const widest = await page.evaluate((dir) => {
        document.documentElement.dir = dir;
        return document.documentElement.scrollWidth;
      }, dir);
      assert.ok(widest <= width, `${name}, ${dir}: ${widest} px at ${width} px`);
    }
  }
  await page.setViewportSize(size);
  await named(page, name);
  await keyboard(page, name);
}

// A screen reader gets a name for each field and control, and the error with its field.
async function named(page, name) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  await session.detach();
  const roles = ['textbox', 'checkbox', 'button', 'link', 'image', 'img', 'DisclosureTriangle'];
  const controls = nodes.filter((node) => !node.ignored && roles.includes(node.role?.value));
  assert.ok(controls.length > 0, name);
  for (const control of controls) {
    assert.ok(control.name?.value, `${name}: a ${control.role.value} without a name`);
  }
  const names = controls.map((control) => `${control.role.value} ${control.name.value}`);
  assert.equal(new Set(names).size, names.length, `${name}: two controls with one name: ${names}`);
  for (const error of await page.locator('.error').allTextContents()) {
    const field = controls.find((control) => control.description?.value.includes(error));
    const invalid = field?.properties.find((property) => property.name === 'invalid')?.value.value;
    assert.equal(invalid, 'true', `${name}: no field has the error "${error}"`);
    assert.ok(await page.evaluate(() => document.activeElement.matches('[aria-invalid=true]')), `${name}: focus`);
  }
}

async function keyboard(page, name) {
  const selector = 'a[href], button:not([hidden]), input:not([type=hidden]), summary';
  const expected = await page.locator(selector).count();
  const reached = await page.evaluate(() => {
    document.activeElement.blur();
    window.reached = new Set();
    return 0;
  });
  assert.equal(reached, 0);
  for (let step = 0; step < expected + 2; step += 1) {
    await page.keyboard.press('Tab');
    await page.evaluate((selector) => {
      if (document.activeElement.matches(selector)) window.reached.add(document.activeElement);
    }, selector);
  }
  assert.equal(await page.evaluate(() => window.reached.size), expected, `${name}: not all is reached by keyboard`);
}

async function picture(page, name) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    // Days change, and nothing else does.
    await page.evaluate(() => {
      for (const hint of document.querySelectorAll('.hint')) {
        hint.textContent = hint.textContent.replace(/[A-Z][a-z]+ \d+, \d{4}/g, 'March 1, 2026');
      }
      document.activeElement.blur();
    });
    await page.screenshot({ path: path.join(PICTURES, `web-${name}-${colorScheme}.png`), fullPage: true });
  }
}

// Does something that leads to another page, and waits for it.
const go = (page, action) => Promise.all([page.waitForNavigation({ waitUntil: 'load' }), action()]);
const enter = (page) => go(page, () => page.keyboard.press('Enter'));

async function password(page, user) {
  await page.goto(`${APP}/login`);
  await page.getByLabel('Email address').focus();
  await page.keyboard.type(`${user}@example.com`);
  await page.keyboard.press('Tab');
  await page.keyboard.type(PASSWORD);
  await enter(page);
}

async function type(page, typed) {
  await page.locator('#code').focus();
  await page.keyboard.type(typed);
  await enter(page);
}

const title = (page) => page.locator('h1').textContent();
const button = (page, name) => page.getByRole('button', { name, exact: true });
const press = (page, name) => go(page, () => button(page, name).click());
const follow = (page, name) => go(page, () => page.getByRole('link', { name }).click());
const logOut = (page) => press(page, 'Log out');

async function recoveryCodes(page, script, copy = script) {
  const codes = await page.locator('#recovery-codes code').allTextContents();
  assert.ok(codes.every((code) => /^([0-9A-Z]{4}-){5}[0-9A-Z]{4}$/.test(code)), codes.join());
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Download').click()]);
  assert.equal(download.suggestedFilename(), 'recovery-codes.txt');
  const file = fs.readFileSync(await download.path(), 'utf8');
  assert.deepEqual(file.trim().split('\r\n').slice(2), codes);
  assert.equal(await page.getByRole('button', { name: 'Print' }).count(), script ? 1 : 0);
  if (copy) {
    await button(page, 'Copy').click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    assert.deepEqual((await page.evaluate(() => navigator.clipboard.readText())).split('\n'), codes);
  }
  return codes;
}

// From the first login of a user without a second factor until it is turned off again.
async function alice(browser, script, viewport) {
  const look = script ? check : async () => {};
  const shoot = script && viewport.width > 500 ? picture : async () => {};
  const open = async () => {
    const context = await browser.newContext({ javaScriptEnabled: script, viewport, acceptDownloads: true });
    if (script) await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: APP });
    const page = await context.newPage();
    page.on('pageerror', (error) => assert.fail(error));
    page.on('console', (message) => assert.ok(!/Content.Security/i.test(message.text()), message.text()));
    return page;
  };
  const page = await open();
  await password(page, 'alice');
  await follow(page, 'Two-factor authentication');
  await look(page, 'off');

  await page.getByLabel('Name of the app').fill('my phone');
  await press(page, 'Set up an authenticator app');
  await look(page, 'setup');
  await shoot(page, 'setup');
  let app = await scan(page);
  await page.reload();
  assert.equal(await scan(page), app, 'the page can be loaded again');
  if (script) {
    await page.emulateMedia({ colorScheme: 'dark', forcedColors: 'active' });
    assert.equal(await scan(page), app, 'high contrast');
    await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none' });
  }
  await type(page, '12');
  await look(page, 'setup with an error');
  await type(page, await code(app));
  assert.equal(await title(page), 'Save your recovery codes');
  await look(page, 'recovery codes');
  await shoot(page, 'codes');
  const codes = await recoveryCodes(page, script);
  assert.equal(codes.length, 10);
  await follow(page, 'I have saved the codes');
  await look(page, 'security');
  await logOut(page);

  await password(page, 'alice');
  await look(page, 'challenge');
  await shoot(page, 'challenge');
  await type(page, '000000');
  await look(page, 'challenge with an error');
  await page.getByLabel('Do not ask for a code').check();
  await type(page, await code(app));
  assert.equal(await title(page), 'Please note');
  await look(page, 'a wrong code before the login');
  await follow(page, 'Continue');
  assert.equal(page.url(), `${APP}/`);
  await logOut(page);
  await password(page, 'alice');
  assert.equal(page.url(), `${APP}/`, 'the device is trusted');

  await follow(page, 'A payment');
  await look(page, 'step-up');
  await type(page, await code(app));
  assert.equal(page.url(), `${APP}/payment`);
  await press(page, 'Pay');
  assert.equal(await title(page), 'Paid');

  await page.goto(SETTINGS);
  await follow(page, 'Add an authenticator app');
  await look(page, 'add');
  await page.getByLabel('Name of the app').fill('tablet');
  await type(page, await code(app));
  const second = await scan(page);
  await type(page, await code(second));
  assert.match(await page.locator('.notice').textContent(), /has been added/);
  await look(page, 'security with two apps');
  await shoot(page, 'security');
  await follow(page, 'Rename: tablet');
  await look(page, 'rename');
  await page.getByLabel('Name of the app').fill('old tablet');
  await type(page, await code(second));
  await follow(page, 'Remove: old tablet');
  await look(page, 'remove');
  await type(page, await code(app));
  assert.match(await page.locator('.notice').textContent(), /has been removed/);
  await follow(page, 'Get new recovery codes');
  await look(page, 'new recovery codes');
  await type(page, await code(app));
  const fresh = await recoveryCodes(page, script);
  assert.equal(new Set([...codes, ...fresh]).size, 20);

  // Another browser, without the phone.
  const other = await open();
  await password(other, 'alice');
  await follow(other, 'Use a recovery code instead');
  await look(other, 'recovery');
  await type(other, fresh[4].toLowerCase());
  assert.equal(await title(other), 'You have used a recovery code');
  await look(other, 'recovered');
  assert.equal((await recoveryCodes(other, script)).length, 1);
  await other.goto(SETTINGS);
  await follow(other, 'Replace: my phone');
  await look(other, 'replace');
  await press(other, 'Continue');
  app = await scan(other);
  await type(other, await code(app));
  await page.goto(`${APP}/notes`);
  assert.equal(page.url(), `${APP}/login?next=/notes`, 'the recovery code has ended the other session');

  await follow(other, 'Turn off');
  await look(other, 'turn off');
  await type(other, await code(app));
  assert.match(await other.locator('.notice').textContent(), /has been turned off/);
  await logOut(other);
  await password(other, 'alice');
  assert.equal(other.url(), `${APP}/`, await other.locator('main').innerText());

  if (script) {
    await other.goto(`${SETTINGS}/nothing`);
    await look(other, 'not found');
    await other.context().clearCookies();
    await other.goto(`${SETTINGS}/challenge`);
    await look(other, 'login ended');
  }
  await page.context().close();
  await other.context().close();
}

// A member of the staff sets up the second factor during the first login, and cannot turn it off.
async function bob(browser) {
  const page = await (await browser.newContext()).newPage();
  await password(page, 'bob');
  assert.equal(await title(page), 'Set up your authenticator app');
  await check(page, 'required');
  await page.goto(`${APP}/notes`);
  assert.equal(page.url(), `${APP}/login?next=/notes`);
  await password(page, 'bob');
  await press(page, 'Set up an authenticator app');
  await type(page, await code(await scan(page)));
  assert.equal((await recoveryCodes(page, true, false)).length, 10);
  await follow(page, 'I have saved the codes');
  assert.equal(page.url(), `${APP}/`);
  await page.goto(SETTINGS);
  assert.equal(await page.getByText('Turn off').count(), 0);
  await page.goto(`${SETTINGS}/turn-off`);
  await check(page, 'may not turn off');
}

// A user who cannot see the page, or has no mouse, gets by with the text key and the keyboard alone.
async function withoutMouse(browser) {
  const page = await (await browser.newContext()).newPage();
  await password(page, 'alice');
  await page.goto(SETTINGS);
  await page.keyboard.press('Tab');
  while (!(await page.evaluate(() => document.activeElement.id === 'name'))) await page.keyboard.press('Tab');
  await page.keyboard.type('by keyboard');
  await enter(page);
  while (!(await page.evaluate(() => document.activeElement.matches('summary')))) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  const key = (await page.locator('#key').innerText()).replaceAll(' ', '');
  assert.match(key, /^[A-Z2-7]{32}$/);
  await check(page, 'setup with the key');
  while (!(await page.evaluate(() => document.activeElement.id === 'code'))) await page.keyboard.press('Tab');
  await page.keyboard.type(await code(`otpauth://totp/x?secret=${key}`));
  await enter(page);
  assert.equal(await title(page), 'Save your recovery codes');
}

// Each of the checks above finds what it looks for.
async function controls(browser) {
  const page = await (await browser.newContext()).newPage();
  const broken = [
    ['<input type="text">', /label/],
    ['<p class="hint">Too pale</p>', /color-contrast/, 'color: #888'],
    ['<div>Too wide</div>', /px at 320 px/, 'width: 400px'],
    ['<button tabindex="-1">Unreachable</button>', /not all is reached/],
    ['<a href="/">Log in</a><a href="/x">Log in</a>', /two controls with one name/],
    ['<p class="error">Of no field</p>', /no field has the error/],
  ];
  for (const [html, expected, style = ''] of broken) {
    await page.goto(`${SETTINGS}/challenge`);
    await page.locator('.keyfob').evaluate((element, [html, style]) => {
      element.insertAdjacentHTML('beforeend', html);
      // The policy of the pages forbids the attribute.
      element.lastElementChild.style.cssText = style;
    }, [html, style]);
    await assert.rejects(check(page, 'control'), expected, html);
  }
}

// A picture that has changed has to be looked at, and recorded. Fonts differ from machine to machine, so small
// differences do not count.
async function compare(browser) {
  const page = await (await browser.newContext()).newPage();
  for (const file of fs.readdirSync(PICTURES).filter((file) => file.startsWith('web-'))) {
    const change = `${path.join(PICTURES, file)} is not like ${path.join(RECORDED, file)}; look at it, and copy it there`;
    assert.ok(fs.existsSync(path.join(RECORDED, file)), change);
    const pictures = [PICTURES, RECORDED].map((folder) => fs.readFileSync(path.join(folder, file)).toString('base64'));
    const differing = await page.evaluate(async (pictures) => {
      const [first, second] = await Promise.all(pictures.map(async (picture) => {
        const image = new Image();
        image.src = `data:image/png;base64,${picture}`;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
        canvas.drawImage(image, 0, 0);
        return canvas.getImageData(0, 0, image.width, image.height);
      }));
      if (first.width !== second.width || Math.abs(first.height - second.height) > first.height / 20) return 1;
      const rows = Math.min(first.height, second.height);
      let count = 0;
      for (let index = 0; index < rows * first.width * 4; index += 4) {
        count += Math.abs(first.data[index] - second.data[index]) > 64;
      }
      return count / (rows * first.width);
    }, pictures);
    assert.ok(differing < 0.08, `${change} (${Math.round(differing * 100)} %)`);
  }
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
  const started = Date.now();
  const run = async (name, test) => {
    try {
      await test();
    } catch (error) {
      for (const page of browser.contexts().flatMap((context) => context.pages())) {
        console.error(page.url(), await page.locator('body').innerText());
      }
      throw error;
    }
    console.log(`${name}: ${Math.round((Date.now() - started) / 1000)} s`);
  };
  await run('with script', () => alice(browser, true, { width: 1000, height: 900 }));
  await run('without script, on a phone', () => alice(browser, false, { width: 360, height: 740 }));
  await run('required', () => bob(browser));
  await run('without a mouse', () => withoutMouse(browser));
  const pages = checked;
  await run('controls', () => controls(browser));
  await run('pictures', () => compare(browser));
  await browser.close();
  console.log(`${pages} pages checked with axe-core ${require('axe-core/package.json').version}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
