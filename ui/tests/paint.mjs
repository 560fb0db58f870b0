// How long people wait: `klio-bench window` starts the server and this:
//   node ui/tests/paint.mjs BASE PASSWORD ROUNDS
// and reads the JSON that it prints: milliseconds to the first paint of pages and from a press on a value to the page that it asks for,
// and bytes that a browser loads beside the first page.
import { chromium } from "playwright-core";

const [base, password, rounds] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
const page = await context.newPage();
await page.goto(`${base}/sign-in?return_to=%2Fhunts`);
const assets = await page.evaluate(() => performance.getEntriesByType("resource").reduce((sum, one) => sum + one.encodedBodySize, 0));
await page.fill('input[name="name"]', "ana");
await page.fill('input[name="password"]', password);
await page.click("button.main");
await page.waitForURL(/hunts/);

const painted = async (at) => {
  const times = [];
  for (let round = 0; round < Number(rounds); round += 1) {
    await page.goto(base + at);
    times.push(await page.evaluate(async () => {
      // The entry is there after the frame.
      while (!performance.getEntriesByName("first-contentful-paint").length) await new Promise(requestAnimationFrame);
      return performance.getEntriesByName("first-contentful-paint")[0].startTime;
    }));
  }
  return times;
};
const found = { assets, pages: {}, facet: [] };
for (const at of ["/", "/explore", "/explore?from=1970", "/incidents", "/detections", "/trends"]) found.pages[at] = await painted(at);
for (let round = 0; round < Number(rounds); round += 1) {
  await page.goto(`${base}/explore?from=1970`);
  const before = page.url();
  const value = page.locator(".facets a.value").nth(4 + round * 2);
  const begun = Date.now();
  await value.click();
  await page.waitForFunction((url) => location.href !== url && !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling"), before);
  found.facet.push(Date.now() - begun);
}
console.log(JSON.stringify(found));
await browser.close();
