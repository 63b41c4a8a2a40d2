// Takes the pictures of the README: node pictures.mjs, with SCRIP_BIN as for the stories. Made small by pngquant, where
// it is installed.
import { spawnSync } from "node:child_process";
import { filled } from "./month.mjs";
import { Scrip, browser, live, tab } from "./scrip.mjs";
import { saveCard } from "./shop.mjs";

const OUT = new URL("../docs/images/", import.meta.url).pathname;
const scrip = await Scrip.start({ stripe: true, config: '[seller]\nname = "Example UAB"\ncity = "Vilnius"\ncountry = "LT"\n' });
const chrome = await browser();
try {
  await filled(scrip);
  await scrip.ask("POST", "/v1/accounts/acme/grants", { credits: "250", source: "promo", reason: "Thank you", expires_at: in_days(40) });
  const page = await tab(chrome, { viewport: { width: 1180, height: 905 }, reducedMotion: "reduce" });
  await page.goto(await scrip.link("acme"));
  await page.goto(`${scrip.url}/settings/usage?from=${daysAgo(13)}&to=${daysAgo(0)}`);
  await live(page);
  await page.screenshot({ path: `${OUT}usage.png` });
  await page.goto(`${scrip.url}/settings/activity`);
  await page.setViewportSize({ width: 900, height: 640 });
  await page.locator(".entries summary").nth(1).click();
  await page.evaluate(() => document.querySelector(".entries").scrollIntoView());
  await page.screenshot({ path: `${OUT}receipt.png`, clip: { x: 12, y: 0, width: 876, height: 470 } });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto(`${scrip.url}/settings/estimate`);
  await page.getByLabel("Your message").fill("Please add a health check to the compose file and explain it.");
  await page.getByLabel("Model").selectOption("claude-sonnet-5-5");
  await page.getByRole("button", { name: "Estimate the message" }).click();
  await page.locator(".outcome").waitFor();
  await page.screenshot({ path: `${OUT}estimate.png`, clip: { x: 12, y: 92, width: 876, height: 470 } });
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1180, height: 905 });
  await scrip.ask("PUT", "/v1/accounts/acme/budgets/ai-monthly", { scope: { meters: ["ai_chat"] }, period: "month", credits: "2000", action: "block" });
  await scrip.ask("PUT", "/v1/accounts/acme/budgets/storefront", { scope: { project: "storefront" }, period: "month", credits: "3000", action: "notify" });
  await scrip.ask("PUT", "/v1/accounts/acme", { address: { city: "Vilnius", country: "LT" } });
  await page.goto(`${scrip.url}/settings/billing`);
  await saveCard(page, "4242424242424242");
  await page.getByRole("link", { name: "Subscribe: Monthly", exact: true }).click();
  await page.getByRole("button", { name: /^Subscribe and pay/ }).click();
  await page.getByRole("heading", { name: "Credits added" }).waitFor();
  await page.goto(`${scrip.url}/settings/billing`);
  await page.getByLabel(/At most, a month/).fill("100");
  await page.getByRole("button", { name: "Turn on …" }).click();
  await page.getByRole("button", { name: "Agree and turn on" }).click();
  await page.locator("#auto-topup .badge", { hasText: "on" }).waitFor();
  await page.screenshot({ path: `${OUT}billing.png`, fullPage: true, clip: await around(page, "#subscription", "#auto-topup") });
  await page.goto(`${scrip.url}/settings/usage`);
  await page.screenshot({ path: `${OUT}budgets.png`, fullPage: true, clip: await around(page, "#budgets", "#tables") });
  const phone = await tab(chrome, { viewport: { width: 360, height: 720 }, colorScheme: "dark", deviceScaleFactor: 2 });
  await phone.goto(await scrip.link("acme"));
  await live(phone);
  await phone.screenshot({ path: `${OUT}phone.png` });
  await page.goto(`${scrip.url}/console/sign-in`);
  await page.getByLabel("Secret").fill(scrip.key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("link", { name: "Reports" }).click();
  await page.setViewportSize({ width: 1180, height: 860 });
  await page.screenshot({ path: `${OUT}reports.png` });
} finally {
  await chrome.close();
  await scrip.stop();
}
spawnSync("sh", ["-c", `pngquant --force --ext .png --skip-if-larger 128 ${OUT}*.png`], { stdio: "inherit" });

function daysAgo(count) {
  return new Date(Date.now() - count * 86_400_000).toISOString().slice(0, 10);
}

function in_days(count) {
  return new Date(Date.now() + count * 86_400_000).toISOString();
}

/** From the top of one part of the page to the end of another. */
async function around(page, first, last) {
  await page.evaluate(() => scrollTo(0, 0));
  const [from, to] = [await page.locator(first).boundingBox(), await page.locator(last).boundingBox()];
  return { x: from.x - 12, y: from.y - 12, width: from.width + 24, height: to.y + to.height - from.y + 24 };
}
