// Takes the pictures of the README: node pictures.mjs, with SCRIP_BIN as for the stories.
import { filled } from "./month.mjs";
import { Scrip, browser, tab } from "./scrip.mjs";

const OUT = new URL("../docs/images/", import.meta.url).pathname;
const scrip = await Scrip.start();
const chrome = await browser();
try {
  await filled(scrip);
  await scrip.ask("POST", "/v1/accounts/acme/grants", { credits: "250", source: "promo", reason: "Thank you", expires_at: in_days(40) });
  const page = await tab(chrome, { viewport: { width: 1180, height: 905 } });
  await page.goto(await scrip.link("acme"));
  await page.waitForFunction(() => document.documentElement.dataset.stream === "live");
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
} finally {
  await chrome.close();
  await scrip.stop();
}

function in_days(count) {
  return new Date(Date.now() + count * 86_400_000).toISOString();
}
