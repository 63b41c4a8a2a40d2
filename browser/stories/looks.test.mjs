// Every page on a phone and on a desk, in light and in dark, with a month in it. With PICTURES=directory the pictures
// are kept, to be looked at.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { Scrip, browser, sound, tab, SCHEMES, SIZES } from "../scrip.mjs";

let scrip, chrome;
before(async () => {
  scrip = await Scrip.start();
  chrome = await browser();
  await scrip.account("acme", { name: "Acme Robotics" });
  await scrip.ask("POST", "/v1/accounts/acme/grants", { credits: "5000", source: "purchase", reason: "Package: 5 000 credits" });
  for (const [project, name] of [["storefront", "Storefront"], ["data-pipeline", "Data pipeline"], ["mobile-app", "Mobile app"]]) {
    await scrip.ask("PUT", `/v1/accounts/acme/projects/${project}`, { name });
  }
  await scrip.ask("POST", "/v1/charges/batch", month());
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

/** Thirty days of work, the same every time. */
function month() {
  let seed = 7;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  const pick = (from) => from[random(from.length)];
  const day = 86_400_000;
  const charges = [];
  for (let ago = 29; ago >= 0; ago--) {
    const add = (charge) => {
      const at = Date.now() - ago * day - random(day / 3);
      charges.push({ account: "acme", idempotency_key: `month-${charges.length}`, at: new Date(at).toISOString(), ...charge });
    };
    const project = () => pick(["storefront", "storefront", "data-pipeline", "mobile-app", undefined]);
    for (let count = 4 + random(10); count > 0; count--) {
      const failed = random(20) === 0;
      add({
        meter: "ai_chat", project: project(), actor: pick(["ada", "grace", "linus"]),
        dimensions: { model: pick(["claude-sonnet-5-5", "gpt-6.1-terra", "mistral-medium-3.5"]), ...(failed && { outcome: "failed" }) },
        quantities: { input_tokens: 2_000 + random(20_000), output_tokens: failed ? 0 : 400 + random(4_000) },
      });
    }
    if (ago % 9 === 4) add({ meter: "code_analysis", project: project(), dimensions: { tree: `t${ago}` }, quantities: { code_lines: 20_000 + random(50_000), files: 300 } });
    if (ago % 7 === 2) add({ meter: "infra_plan", project: project(), quantities: { points: 10 + random(60) } });
    if (ago === 24) add({ meter: "server", project: "storefront", resource: "web-1", dimensions: { tier: "entry-level" }, quantities: { provisioned: 1 } });
    if (ago < 24) add({ meter: "server", project: "storefront", resource: "web-1", dimensions: { tier: "entry-level" }, quantities: { runtime_seconds: 80_000 } });
  }
  return charges;
}

const PAGES = [
  ["usage", "/settings/usage"],
  ["usage-hours", `/settings/usage?from=${yesterday()}&to=${yesterday()}&by=hour&back=30d`],
  ["activity", "/settings/activity"],
  ["estimate", "/settings/estimate"],
];
const CONSOLE = [["accounts", "/console"], ["account", "/console/accounts/acme"], ["prices", "/console/prices"], ["keys", "/console/keys"]];

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
  page.on("response", (it) => it.url().includes("/assets/") && bodies.push(it.body().then((body) => [it.url(), body])));
  await page.goto(await scrip.link("acme"), { waitUntil: "load" });
  const assets = await Promise.all(bodies);
  const all = assets.reduce((sum, [, body]) => sum + gzipSync(body).length, 0);
  const script = assets.filter(([url]) => url.endsWith(".js")).reduce((sum, [, body]) => sum + body.length, 0);
  assert.ok(0 < script && script < 100_000, `${script} bytes of script`);
  assert.ok(all < 40_000, `${all} bytes of style, script and pictures, as they would be compressed`);
});
