// Pictures of pages: node look.mjs URL-WITH-LINK OUT-DIR path[=name] ...
import { chromium } from "playwright-core";

const [link, out, ...paths] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
for (const [size, viewport] of [["phone", { width: 360, height: 780 }], ["desktop", { width: 1440, height: 900 }]]) {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: size === "phone" ? 2 : 1 });
    const page = await context.newPage();
    page.on("console", (it) => { if (it.type() === "error") console.log(size, it.text()); });
    await page.goto(link);
    for (const it of paths) {
      const [path, name] = it.split("~");
      await page.goto(new URL(path, link).href);
      await page.waitForTimeout(400);
      await page.screenshot({ path: `${out}/${name}-${size}-${colorScheme}.png`, fullPage: true });
    }
    await context.close();
  }
}
await browser.close();
