// Every page on a phone and on a desk, in light and in dark, with a month in it. With PICTURES=directory the pictures
// are kept, to be looked at.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { filled } from "../month.mjs";
import { Scrip, browser, sound, tab, SCHEMES, SIZES } from "../scrip.mjs";

let scrip, chrome;
before(async () => {
  scrip = await Scrip.start();
  chrome = await browser();
  await filled(scrip);
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

const PAGES = [
  ["usage", "/settings/usage"],
  ["usage-hours", `/settings/usage?from=${yesterday()}&to=${yesterday()}&by=hour&back=30d`],
  ["activity", "/settings/activity"],
  ["estimate", "/settings/estimate"],
];
const CONSOLE = [
  ["accounts", "/console"], ["account", "/console/accounts/acme"], ["payments", "/console/payments?show=all"], ["prices", "/console/prices"],
  ["offers", "/console/offers"], ["webhooks", "/console/webhooks"], ["keys", "/console/keys"], ["jobs", "/console/jobs"], ["audit", "/console/audit"],
];

function yesterday() {
  return new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
}

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of SCHEMES) {
    test(`every page is sound on a ${size} in ${colorScheme}`, async () => {
      const page = await tab(chrome, { viewport, colorScheme, deviceScaleFactor: size === "phone" ? 2 : 1 });
      const picture = async (name) => {
        await sound(page, `${name}, ${size}, ${colorScheme}`);
        const path = process.env.PICTURES && `${process.env.PICTURES}/${name}-${size}-${colorScheme}.png`;
        if (path) await page.screenshot({ path, fullPage: true });
      };
      await page.goto(await scrip.link("acme"));
      for (const [name, path] of PAGES) {
        await page.goto(scrip.url + path);
        if (name === "activity") await page.locator(".entries summary").nth(2).click();
        await picture(name);
      }
      await page.goto(`${scrip.url}/settings/estimate`);
      await page.getByLabel("Your message").fill("Please add a health check to the compose file and explain it.");
      await page.getByRole("button", { name: "Estimate the message" }).click();
      await page.locator(".outcome").waitFor();
      await picture("estimated");
      await page.goto(`${scrip.url}/console/sign-in`);
      await page.getByLabel("Secret").fill(scrip.key);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForURL(/console$/);
      await page.goto(`${scrip.url}/docs/problems`);
      await picture("docs-problems");
      for (const [name, path] of CONSOLE) {
        await page.goto(scrip.url + path);
        await picture(`console-${name}`);
      }
      await page.context().close();
    });
  }
}

test("a page asks for less than 100 KB of script, and less than 40 KB in all but itself", async () => {
  const page = await tab(chrome);
  const bodies = [];
  page.on("response", (it) => {
    if (!it.url().includes("/assets/")) return;
    // A picture still on its way when the page closes has no body; nobody waits for it then.
    bodies.push(it.body().then((body) => [it.url(), body], () => [it.url(), Buffer.alloc(0)]));
  });
  await page.goto(await scrip.link("acme"), { waitUntil: "load" });
  const assets = await Promise.all(bodies);
  const all = assets.reduce((sum, [, body]) => sum + gzipSync(body).length, 0);
  const script = assets.filter(([url]) => url.endsWith(".js")).reduce((sum, [, body]) => sum + body.length, 0);
  assert.ok(0 < script && script < 100_000, `${script} bytes of script`);
  assert.ok(all < 40_000, `${all} bytes of style, script and pictures, as they would be compressed`);
});
