// What people do with the window, in a real browser. `crates/klio/tests/window.rs` starts the server and this:
//   node ui/tests/journeys.mjs BASE PASSWORD DIR
// with a lake of recorded attacks, the users ana (admin) and vic (viewer), and a directory for screenshots.
// Any error on the console, any violation of the content security policy, any request to elsewhere fails.
import { chromium } from "playwright-core";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [base, password, dir] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
let failed = 0;

function check(condition, said) {
  if (!condition) throw new Error(said);
}

async function open(user, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("console", (message) => { if (message.type() === "error") page.wrong.push(message.text()); });
  page.on("pageerror", (error) => page.wrong.push(error.message));
  page.on("request", (request) => { if (!request.url().startsWith(base) && !request.url().startsWith("data:")) page.wrong.push(`asked ${request.url()}`); });
  if (user) await signIn(page, user, "/");
  return page;
}

async function signIn(page, user, to) {
  await page.goto(`${base}/sign-in?return_to=${encodeURIComponent(to)}`);
  await page.fill('input[name="name"]', user);
  await page.fill('input[name="password"]', password);
  await page.click("button.main");
  await page.waitForURL((url) => url.pathname !== "/sign-in");
}

async function journey(name, walk) {
  const begun = Date.now();
  const pages = [];
  const opened = async (...words) => { const page = await open(...words); pages.push(page); return page; };
  try {
    await walk(opened);
    const wrong = pages.flatMap((page) => page.wrong);
    check(!wrong.length, `on the console: ${wrong.join(" | ")}`);
    console.log(`ok      ${name}  ${Date.now() - begun} ms`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.message.split("\n").slice(0, 4).join(" ")}`);
    for (const page of pages) await page.screenshot({ path: path.join(dir, `failed-${failed}.png`) }).catch(() => {});
  }
  for (const page of pages) await page.context().close();
}

const rows = (page) => page.locator("[data-rows] tbody tr, [data-rows] > li");
const settled = (page) => page.waitForFunction(() => !document.querySelector(".htmx-request, .htmx-swapping"));

await journey("from sign-in to the proof of a piece of evidence", async (open) => {
  const page = await open();
  await page.goto(`${base}/incidents?severity=high`);
  await page.waitForURL(/sign-in/);
  await page.fill('input[name="name"]', "ana");
  await page.fill('input[name="password"]', "not this one");
  await page.click("button.main");
  await page.locator("[role=alert]", { hasText: "wrong" }).waitFor();
  page.wrong = page.wrong.filter((text) => !/401/.test(text));
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await page.waitForURL(/incidents\?severity=high/);
  await page.goto(`${base}/`);
  await page.locator('main a[href^="/incidents/"]').first().click();
  await page.waitForURL(/\/incidents\/./);
  check((await page.locator("h1").innerText()).length > 20, "an incident has no headline");
  await page.locator('main a[href^="/events/"]').first().click();
  await page.waitForURL(/\/events\/./);
  check(await page.locator(".tree").isVisible(), "the event's JSON is not shown");
  await page.locator('a[href$="/proof"]').click();
  await page.waitForURL(/\/proof$/);
  check(/row [\d,]+ of [\d,]+/.test(await page.locator("main").innerText()), "the proof does not say where the event stands");
  check((await page.locator("pre.dump").innerText()).length > 100, "there is no checkpoint");
  await page.goBack();
  await page.waitForURL(/\/events\/[^/]*$/);
});

await journey("a hunt by dragging over the histogram, and Back", async (open) => {
  const page = await open("ana");
  await page.goto(`${base}/explore?filter=resource:secrets&from=1970`);
  const all = Number((await page.locator(".sum strong").innerText()).replaceAll(",", ""));
  check(all > 0, "there are no Secrets in the recording");
  const box = await page.locator("svg.chart").first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 40, { steps: 5 });
  await page.mouse.move(box.x + box.width, box.y + 40, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/from=20/);
  await settled(page);
  const part = Number((await page.locator(".sum strong").innerText()).replaceAll(",", ""));
  check(part < all, `${part} of ${all} in a part of the time`);
  await page.goBack();
  await page.waitForURL(/from=1970/);
  await page.waitForFunction((all) => document.querySelector(".sum strong")?.textContent.replaceAll(",", "") === String(all), all);
  const facet = page.locator('.facets a.value').first();
  await facet.click();
  await page.waitForURL(/filter=.+and/);
  // The address is the state: another window shows the same.
  const address = page.url();
  const shown = await page.locator(".sum strong").innerText();
  const other = await open("ana");
  await other.goto(address);
  check((await other.locator(".sum strong").innerText()) === shown, "a pasted address shows something else");
});

await journey("what is wrong with a filter is underlined, and fields and values are proposed", async (open) => {
  const page = await open("ana");
  await page.goto(`${base}/explore?filter=verb:get+and+resorce:pods`);
  check((await page.locator("#wrong mark").innerText()).includes("resorce"), "the wrong word is not marked");
  await page.fill("#filter", "");
  await page.locator("#filter").pressSequentially("resou");
  await page.locator(".options [role=option]").first().waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  check((await page.inputValue("#filter")) === "resource:", "a field was not taken");
  await page.locator(".options [role=option] code", { hasText: "pods" }).first().waitFor();
});

await journey("the queue of incidents with the keyboard alone", async (open) => {
  const page = await open("ana");
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.waitForURL(/\/incidents/);
  await rows(page).first().waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  check((await page.locator('[data-rows] [aria-selected="true"]').count()) === 1, "no row is chosen");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/incidents\/./);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("hunts");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/hunts/);
});

await journey("rows by keys: mark, keep or leave out a value; columns and density", async (open) => {
  const page = await open("ana");
  await page.goto(`${base}/explore?filter=resource:secrets&from=1970`);
  const count = async () => Number((await page.locator(".sum strong").innerText()).replaceAll(",", ""));
  const all = await count();
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  check((await page.locator(".marked").innerText()).startsWith("2 marked"), "two rows are not marked");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.locator(".marked button", { hasText: "JSON" }).click();
  await page.locator(".marked button", { hasText: "Copied" }).waitFor();
  const copied = (await page.evaluate(() => navigator.clipboard.readText())).split("\n").map((line) => JSON.parse(line));
  check(copied.length === 2 && copied.every((one) => one.auditID), "two events are not copied");
  await page.keyboard.press("F");
  await page.locator("dialog input").fill("verb:");
  await page.keyboard.press("Enter");
  await page.waitForURL(/not/);
  await settled(page);
  const without = await count();
  check(without < all, `${without} of ${all} without a verb`);
  await page.goBack();
  await page.waitForURL((url) => !/not/.test(url.search));
  await page.locator("td[data-filter]").first().hover();
  await page.locator(".pivot a").first().click();
  await page.waitForURL(/and/);
  await page.locator("summary", { hasText: "Table" }).click();
  await page.fill('input[name="column"]', "response.message");
  await page.keyboard.press("Enter");
  await page.waitForURL(/column=response/);
  await page.locator("th", { hasText: "response.message" }).waitFor();
  await page.locator("summary", { hasText: "Table" }).click();
  await page.locator("[data-density-switch]").click();
  await page.reload();
  check((await page.locator("html").getAttribute("data-density")) === "close", "the density is not kept");
});

await journey("the live tail shows what comes, and says what was lost", async (open) => {
  const page = await open("ana");
  await page.goto(`${base}/tail`);
  fs.writeFileSync(path.join(dir, "tail-is-open"), "");
  await page.waitForFunction(() => document.querySelectorAll("klio-tail tr.fresh").length > 20, null, { timeout: 60_000 });
  check(/lost\s*0|0\s*lost/i.test(await page.locator("klio-tail").innerText()), "it does not say that nothing was lost");
});

await journey("a viewer sees no bodies and is told why something is not for him", async (open) => {
  const page = await open("vic");
  await page.goto(`${base}/explore?filter=verb:create&from=1970`);
  await page.locator("table.rows tbody a").first().click();
  await page.locator("aside.drawer").waitFor();
  check((await page.evaluate(() => scrollY)) === 0, "the page jumps when an event is opened beside the others");
  check(page.url().includes("event="), "the address does not say which event is open");
  await page.keyboard.press("Escape");
  await page.locator("aside.drawer").waitFor({ state: "detached" });
  await page.goBack();
  await page.locator("aside.drawer a", { hasText: "Its page" }).click();
  await page.waitForURL(/\/events\//);
  const text = await page.locator("main").innerText();
  check(text.includes("for analysts and above"), "it is not said that bodies are withheld");
  check(!(await page.locator(".tree").innerText()).includes("requestObject"), "a body is shown");
});

await journey("an entry of the allow-list from a finding, tried on history, made and taken back", async (open) => {
  const page = await open("ana");
  await page.goto(`${base}/detections?state=hit`);
  await page.locator("table tbody a").first().click();
  await page.waitForURL(/\/detections\/[^/?]+$/);
  const rule = page.url();
  await page.locator("a", { hasText: "excuse…" }).first().click();
  await page.waitForURL(/\/excuse\?event=/);
  const filter = await page.inputValue("#filter");
  check(/user:/.test(filter), `the filter that is proposed says nobody: ${filter}`);
  const said = async () => (await page.locator("section.note h2").innerText()).match(/removed ([\d,]+) of/)[1];
  check((await said()) !== "0", "the finding itself is not removed");
  check(/incident/.test(await page.locator("section.note").innerText()), "nothing is said of incidents");
  // Something that never was removes nothing; something that is no filter is marked.
  await page.fill("#filter", `${filter} and namespace:nowhere-at-all`);
  await page.click("text=Try on history");
  await page.waitForURL(/nowhere/);
  check((await said()) === "0", "what never was removes something");
  await page.goto(`${base}${new URL(rule).pathname}/excuse?filter=usr:x`);
  check((await page.locator("#wrong mark").innerText()).includes("usr"), "the wrong word is not marked");
  await page.goto(`${base}${new URL(rule).pathname}/excuse?filter=${encodeURIComponent(filter)}`);
  await page.fill('input[name="reason"]', "a rehearsal of ours");
  await page.click('form.fields button.main');
  await page.waitForURL((url) => url.pathname === new URL(rule).pathname);
  await page.locator("li", { hasText: "a rehearsal of ours" }).locator("button", { hasText: "Take back" }).click();
  await page.locator("li", { hasText: "a rehearsal of ours" }).waitFor({ state: "detached" });
  // Who may not make entries may try them, and is told why he may not.
  const vic = await open("vic");
  await vic.goto(`${base}${new URL(rule).pathname}/excuse?filter=verb:get`);
  check(/You cannot make the entry/.test(await vic.locator("main").innerText()), "a viewer is not told why");
});

await journey("a link from another site leads to the page, and a refusal is shown where one is", async (open) => {
  const page = await open("ana");
  await page.route("http://chat.example/", (route) => route.fulfill({ contentType: "text/html", body: `<a href="${base}/incidents">look</a>` }));
  page.wrong = [];
  await page.goto("http://chat.example/");
  await page.click("a");
  await page.waitForURL(`${base}/incidents`);
  await rows(page).first().waitFor();
  page.wrong = [];
  // A link that leads nowhere says so.
  await page.evaluate(() => { const link = document.createElement("a"); link.href = "/incidents/none"; link.textContent = "gone"; document.querySelector("main").append(link); window.htmx.process(link); });
  await page.click("a:has-text('gone')");
  await page.waitForURL(/none/);
  check(/no such thing/.test(await page.locator("body").innerText()), "a refusal is not shown");
  page.wrong = page.wrong.filter((text) => !/404/.test(text));
});

await journey("a question is saved as a hunt, asked again, and removed", async (open) => {
  const page = await open("ana");
  await page.goto(`${base}/explore?filter=resource:secrets+and+verb:list&from=1970`);
  const count = await page.locator(".sum strong").innerText();
  await page.locator("details.fold summary", { hasText: "Save as a hunt" }).click();
  await page.fill('input[name="title"]', "who lists Secrets?");
  await page.locator("form.fields button.main", { hasText: "Save" }).click();
  await page.waitForURL(/\/hunts$/);
  await page.locator("a", { hasText: "who lists Secrets?" }).click();
  await page.waitForURL(/explore/);
  check((await page.locator(".sum strong").innerText()) === count, "a saved hunt asks something else");
  await page.goto(`${base}/hunts`);
  await page.locator("li", { hasText: "who lists Secrets?" }).locator("button").click();
  await page.locator("li", { hasText: "who lists Secrets?" }).waitFor({ state: "detached" });
});

const PAGES = ["/", "/incidents", "/explore?from=1970", "/tail", "/detections", "/hunts", "/trends", "/sources", "/integrity", "/own-audit", "/settings"];

await journey("all pages at three widths in both themes, without a serious accessibility violation", async (open) => {
  const page = await open("ana");
  const first = async (list, pattern) => {
    await page.goto(base + list);
    return page.locator(`main a[href^="${pattern}"]`).first().getAttribute("href");
  };
  const event = async (list) => {
    await page.goto(base + list);
    const to = await page.locator("table.rows tbody a").first().getAttribute("href");
    const { searchParams } = new URL(base + to);
    return `/events/${searchParams.get("event")}?mark=${searchParams.get("mark")}`;
  };
  const all = [...PAGES, await first("/incidents", "/incidents/"), await event("/explore?filter=verb:patch&from=1970"),
    await first("/detections?state=hit", "/detections/"), await first("/hunts", "/hunts/"), "/actors/carol%40corp.example"];
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    for (const width of [1440, 1024, 390]) {
      await page.setViewportSize({ width, height: width === 390 ? 844 : 900 });
      for (const at of all) {
        await page.goto(base + at);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(wide <= 0, `${at} is wider than ${width} by ${wide}`);
        const name = at.split("?")[0].split("/").slice(1, 2)[0] || "overview";
        const deep = at.split("?")[0].split("/").length > 2 ? "-one" : "";
        await page.screenshot({ path: path.join(dir, `${name}${deep}-${width}-${theme}.png`) });
        if (width === 1024) continue;
        await page.evaluate(axe);
        const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        const grave = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
        check(!grave.length, `${at} ${width} ${theme}: ${grave.map((one) => `${one.id} ${one.nodes[0].target}`).join("; ")}`);
      }
    }
  }
});

await journey("every page has its JSON twin and its command, and can be read without scripts", async (open) => {
  const page = await open("ana", { javaScriptEnabled: false });
  const link = async (at, pattern) => {
    await page.goto(base + at);
    return page.locator(`main a[href^="${pattern}"]`).first().getAttribute("href");
  };
  const rule = await link("/detections?state=hit", "/detections/");
  const incident = await link("/incidents", "/incidents/");
  const event = await link(incident, "/events/");
  const deep = [incident, event, `${event}/proof`, "/objects/deployments/web/frontend?cluster=prod", rule, await link(rule, `${rule}/excuse`), await link("/hunts", "/hunts/"),
    "/actors/carol%40corp.example", "/addresses/185.220.101.34", "/namespaces/payments", "/nodes/node-1", "/pods/orders/importer-batch-9x2",
    "/explore?filter=verb:list&cluster=prod&from=2026-11-20&to=2027-01-01", "/tail?filter=verb:create&cluster=prod", "/incidents?cluster=prod&from=now-9w",
    "/trends?cluster=prod", "/sources/connect?name=fresh&platform=kubeadm", "/sources/dead-letters", "/settings/users", "/settings/users/vic"];
  const commands = [];
  for (const at of [...PAGES, ...deep]) {
    const answer = await page.goto(base + at);
    check(answer.status() === 200, `${at}: ${answer.status()}`);
    check((await page.locator("main h1").count()) > 0, `${at} has no heading`);
    const twin = await page.locator("footer a", { hasText: "JSON" }).getAttribute("href");
    const json = await page.request.get(base + twin);
    check(json.status() === 200 && (json.headers()["content-type"] ?? "").startsWith("application/json"), `${twin}: ${json.status()}`);
    await json.json();
    if (at === "/settings") continue;
    check((await page.locator("footer code").count()) > 0, `${at} says no command`);
    commands.push(await page.locator("footer code").innerText());
  }
  // They are run when the browser is done.
  fs.writeFileSync(path.join(dir, "commands"), commands.join("\n"));
});

await browser.close();
process.exit(failed ? 1 : 0);
