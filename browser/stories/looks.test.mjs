// Every page on a phone and on a desk, in light and in dark, with a month in it. With PICTURES=directory the pictures
// are kept, to be looked at.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { Scrip, browser, sound, tab, SCHEMES, SIZES } from "../scrip.mjs";
import { town } from "../town.mjs";

let scrip, chrome, LONG;
before(async () => {
  scrip = await Scrip.start({ stripe: true, config: '[seller]\nname = "Example UAB"\ncity = "Vilnius"\ncountry = "LT"\n' });
  chrome = await browser();
  ({ LONG } = await town(scrip, chrome));
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

const PAGES = [
  ["usage", "/settings/usage"],
  ["usage-12-months", "/settings/usage?range=12m"],
  ["usage-hours", `/settings/usage?from=${yesterday()}&to=${yesterday()}&by=hour&back=30d`],
  ["usage-today", "/settings/usage?range=today"],
  ["usage-project", "/settings/usage?project=storefront"],
  ["usage-remove", "/settings/usage/project?project=storefront"],
  ["usage-all", "/settings/usage/all?of=project"],
  ["usage-all-servers", "/settings/usage/all?of=server"],
  ["activity", "/settings/activity"],
  ["estimate", "/settings/estimate"],
  ["billing", "/settings/billing"],
  ["billing-buy", "/settings/billing/buy?package=builder"],
  ["billing-plan", "/settings/billing/subscription?plan=monthly-plus"],
  ["billing-end", "/settings/billing/subscription/end"],
  ["billing-purchases", "/settings/billing/history?of=purchases"],
  ["billing-payments", "/settings/billing/history?of=payments"],
  ["billing-invoices", "/settings/billing/history?of=invoices"],
  ["budget", "/settings/usage/budget?budget=ai-monthly"],
];
/** Pages of accounts that are not like others. */
const OTHERS = [["newcomer", "/settings/usage"], ["newcomer", "/settings/activity"], ["newcomer", "/settings/billing"], ["owing", "/settings/usage"], ["long", "/settings/usage"], ["long", "/settings/activity"], ["long", "/settings/billing"], ["huge", "/settings/usage"], ["huge", "/settings/activity"], ["huge", "/settings/billing"]];
const CONSOLE = [
  ["accounts", "/console"], ["account", "/console/accounts/acme"], ["account-owing", "/console/accounts/owing"], ["account-long", "/console/accounts/LONG"], ["account-huge", "/console/accounts/huge"],
  ["payments", "/console/payments"], ["payments-all", "/console/payments?show=all"], ["reports", "/console/reports"], ["prices", "/console/prices"],
  ["offers", "/console/offers?package=starter"], ["webhooks", "/console/webhooks"], ["keys", "/console/keys"], ["jobs", "/console/jobs"], ["audit", "/console/audit"],
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
      for (const [who, path] of OTHERS) {
        await page.goto(await scrip.link(who === "long" ? LONG : who));
        await page.goto(scrip.url + path);
        await picture(`${path.split("/")[2]}-${who}`);
      }
      await page.goto(await scrip.link("acme"));
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
        await page.goto(scrip.url + path.replace("LONG", LONG));
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
