// What the pages do beyond links and forms. Without this they can be read; with it they are quicker to use.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Makes an element; text goes in as text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const go = (address) => {
  const link = make("a", { href: address });
  document.body.append(link);
  window.htmx?.process(link);
  link.click();
  link.remove();
};

/** Asks Klio's API. Refusals are thrown with what they say. */
async function api(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = $('meta[name="csrf"]')?.content ?? "";
  const answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  const json = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error([json?.detail, json?.help].filter(Boolean).join(". ") || answer.statusText);
  return json;
}

// What cannot be swapped in is shown as the page that it is: refusals of a part, and a server that does not answer.
const whole = (event) => {
  const address = event.detail.pathInfo?.finalRequestPath ?? event.detail.requestConfig?.path;
  if (address) location.assign(address);
};
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400 && event.detail.target !== document.body) { event.detail.shouldSwap = false; whole(event); }
});
document.addEventListener("htmx:sendError", whole);

// Colours: as the system has them, or as chosen.
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-theme-switch]")) return;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme;
  const next = now === "auto" ? (dark ? "light" : "dark") : now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  document.cookie = `klio-theme=${next}; Path=/; Max-Age=31536000; SameSite=Strict; Secure`;
});

// Lines of tables: as wide as usual, or close together.
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-density-switch]")) return;
  const next = document.documentElement.dataset.density === "close" ? "usual" : "close";
  document.documentElement.dataset.density = next;
  document.cookie = `klio-density=${next}; Path=/; Max-Age=31536000; SameSite=Strict; Secure`;
});

// Forms leave empty fields out of the address.
document.addEventListener("formdata", (event) => {
  if (event.target.method !== "get") return;
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});

// A menu closes when one presses elsewhere.
document.addEventListener("pointerdown", (event) => {
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

customElements.define("klio-copy", class extends HTMLElement {
  connectedCallback() {
    if ($("button", this)) return;
    const button = make("button", { type: "button", className: "quiet" }, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText($("code, pre", this).textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    this.append(button);
  }
});

/** A histogram: dragging over it asks for that time. */
customElements.define("klio-chart", class extends HTMLElement {
  connectedCallback() {
    const svg = $("svg", this);
    let from = null;
    let brush = null;
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    };
    const time = (part) => {
      const { start, end } = this.dataset;
      return new Date((Number(start) + (Number(end) - Number(start)) * part) / 1000).toISOString();
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = at(event);
      brush = null;
    });
    svg.addEventListener("dragstart", (event) => event.preventDefault());
    svg.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = at(event);
      if (!brush && Math.abs(to - from) < 0.008) return;
      if (!brush) {
        svg.setPointerCapture(event.pointerId);
        brush = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        brush.setAttribute("class", "brush");
        brush.setAttribute("height", "100");
        svg.append(brush);
      }
      brush.setAttribute("x", String(Math.min(from, to) * 1000));
      brush.setAttribute("width", String(Math.abs(to - from) * 1000));
    });
    const end = (event) => {
      const [left, right] = [from, at(event)].sort((a, b) => a - b);
      const done = brush;
      from = brush = null;
      if (!done) return;
      // The press was a drag and no press on a link.
      const swallow = (click) => { click.preventDefault(); click.stopPropagation(); };
      addEventListener("click", swallow, { capture: true });
      const to = new URL(this.dataset.to, location.href);
      to.searchParams.set("from", time(left));
      to.searchParams.set("to", time(right));
      setTimeout(() => {
        removeEventListener("click", swallow, { capture: true });
        go(to.pathname + to.search);
      });
    };
    svg.addEventListener("pointerup", end);
    svg.addEventListener("pointercancel", () => { brush?.remove(); from = brush = null; });
  }
});

/** The query line: proposes fields, and values that occur. */
customElements.define("klio-query", class extends HTMLElement {
  #list = null;
  #asked = null;
  connectedCallback() {
    const input = $("input", this);
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-autocomplete", "list");
    let wait;
    input.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(() => this.#propose(input), 80); });
    input.addEventListener("blur", () => { this.#asked?.abort(); setTimeout(() => this.#close(input), 120); });
    input.addEventListener("keydown", (event) => this.#key(event, input));
  }
  async #propose(input) {
    const at = input.selectionStart;
    // The server stops counting for who does not wait any more.
    this.#asked?.abort();
    const mine = this.#asked = new AbortController();
    const asked = new URLSearchParams({ text: input.value, at: String(new TextEncoder().encode(input.value.slice(0, at)).length) });
    const here = new URLSearchParams(location.search);
    for (const name of ["cluster", "from", "to"]) if (here.get(name)) asked.set(name, here.get(name));
    let found;
    try {
      found = await api("GET", `/api/v1/complete?${asked}`, undefined, mine.signal);
    } catch {
      if (mine === this.#asked) this.#close(input);
      return;
    }
    if (mine !== this.#asked || document.activeElement !== input) return;
    this.#close(input);
    if (!found.items.length) return;
    const list = make("ul", { className: "options", role: "listbox", id: "options" });
    found.items.forEach((item, number) => {
      const option = make("li", { role: "option", id: `option-${number}` }, make("code", {}, item.label), make("span", { className: "about" }, item.about));
      option.addEventListener("pointerdown", (event) => { event.preventDefault(); this.#take(input, found, item); });
      option.take = () => this.#take(input, found, item);
      list.append(option);
    });
    this.append(list);
    this.#list = list;
    input.setAttribute("aria-expanded", "true");
    input.setAttribute("aria-controls", "options");
  }
  #take(input, found, item) {
    const bytes = new TextEncoder().encode(input.value);
    const text = (from, to) => new TextDecoder().decode(bytes.slice(from, to));
    const before = text(0, found.start) + item.insert;
    input.value = before + text(found.end);
    input.setSelectionRange(before.length, before.length);
    this.#close(input);
    if (item.insert.endsWith(":")) this.#propose(input);
  }
  #close(input) {
    this.#list?.remove();
    this.#list = null;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  #key(event, input) {
    if (!this.#list) {
      if (event.key === "ArrowDown" && event.altKey) this.#propose(input);
      return;
    }
    const options = [...this.#list.children];
    const now = options.findIndex((option) => option.ariaSelected === "true");
    const choose = (number) => {
      options[now]?.removeAttribute("aria-selected");
      const option = options[(number + options.length) % options.length];
      option.ariaSelected = "true";
      option.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", option.id);
    };
    if (event.key === "ArrowDown") choose(now + 1);
    else if (event.key === "ArrowUp") choose(now - 1);
    else if (event.key === "Tab" && now < 0 && options.length) options[0].take();
    else if ((event.key === "Enter" || event.key === "Tab") && now >= 0) options[now].take();
    else if (event.key === "Escape") this.#close(input);
    else return;
    event.preventDefault();
  }
});

/** Events as they come (server-sent events). The newest are on top; who scrolls down holds them up. */
customElements.define("klio-tail", class extends HTMLElement {
  #stream = null;
  #waiting = [];
  #times = [];
  #lost = 0;
  #told = 0;
  #missed = 0;
  #held = false;
  #word = ["idle", "connecting"];
  #said = "";
  #clock = 0;
  static most = 500;

  connectedCallback() {
    this.#state = make("p", { className: "tail-state" });
    this.#state.setAttribute("role", "status");
    this.#button = make("button", { type: "button" }, "Pause");
    this.#button.addEventListener("click", () => this.#hold(!this.#held));
    $(".tail-state", this).replaceWith(make("div", { className: "head" }, this.#state, make("span", { className: "grow" }), this.#button));
    const scroll = $(".scroll", this);
    scroll.addEventListener("scroll", () => this.#hold(scroll.scrollTop > 4, true), { passive: true });
    this.#clock = setInterval(() => this.#draw(), 250);
    this.#follow();
  }
  disconnectedCallback() {
    clearInterval(this.#clock);
    this.#stream?.close();
  }
  #state; #button;

  #follow() {
    const stream = this.#stream = new EventSource(this.dataset.stream);
    const live = () => { this.#word = ["good", "following"]; this.#said = ""; };
    stream.addEventListener("open", live);
    stream.addEventListener("event", (event) => {
      const item = JSON.parse(event.data);
      this.#told += 1;
      this.#times.push(Date.now());
      this.#waiting.push(item);
      if (this.#waiting.length > this.constructor.most) { this.#waiting.shift(); this.#missed += 1; }
    });
    stream.addEventListener("lost", (event) => { this.#lost += JSON.parse(event.data).lost; });
    // The server ends a tail after an hour; the browser comes again by itself with the last id, so that nothing is missed.
    stream.addEventListener("end", () => { this.#word = ["idle", "coming again"]; });
    stream.addEventListener("error", () => {
      if (stream.readyState === EventSource.CONNECTING) {
        this.#word = ["bad", "interrupted"];
        this.#said = "The browser tries again, and goes on where it stopped.";
      } else this.#ended();
    });
  }

  /** The server does not let the browser come again: it says why when it is asked. */
  async #ended() {
    this.#word = ["bad", "ended"];
    this.#said = "The server does not answer.";
    const stop = new AbortController();
    try {
      const answer = await fetch(this.dataset.stream, { signal: stop.signal, headers: { Accept: "application/json" } });
      if (answer.ok) this.#said = "It broke off.";
      else if (answer.status === 401) this.#said = "Your session has ended: sign in anew.";
      else { const why = await answer.json(); this.#said = `The server ended it: ${why.detail}.`; }
    } catch { /* As said. */ }
    stop.abort();
    this.#button.textContent = "Begin anew";
    this.#button.onclick = () => location.reload();
  }

  #hold(held, byScrolling = false) {
    if (this.#word[1] === "ended" || held === this.#held) return;
    if (byScrolling && !held && this.#pressed) return;
    this.#pressed = held && !byScrolling;
    this.#held = held;
    this.#button.textContent = held ? "Follow" : "Pause";
    if (!held) $(".scroll", this).scrollTop = 0;
    this.#draw();
  }
  #pressed = false;

  #draw() {
    if (!this.#held && this.#waiting.length) {
      const body = $("tbody", this);
      // The page came with some of them.
      const known = new Set([...body.querySelectorAll("tr:not(.fresh)")].map((row) => row.dataset.mark));
      const fresh = this.#waiting.splice(0).filter((item) => !known.has(item.mark));
      body.prepend(...fresh.reverse().map((item) => this.#row(item)));
      while (body.rows.length > this.constructor.most) body.lastElementChild.remove();
    }
    const now = Date.now();
    while (this.#times.length && this.#times[0] < now - 10_000) this.#times.shift();
    const number = (n) => n.toLocaleString("en");
    const parts = [
      `${(this.#times.length / 10).toFixed(1)} events/s`, `${number(this.#told)} came`,
      this.#held ? `${number(this.#waiting.length)} wait` : "", this.#missed ? `${number(this.#missed)} passed while held up` : "",
    ];
    const word = this.#held && this.#word[0] === "good" ? ["idle", "held up"] : this.#word;
    const lost = make("span", { className: this.#lost ? "bad" : "dim", title: "Events that match and that the server could not tell, because this browser was too slow" }, `lost ${number(this.#lost)}`);
    const text = [...word, ...parts, this.#lost, this.#said].join("|");
    if (text === this.#drawn) return;
    this.#drawn = text;
    const explore = make("a", { href: this.dataset.explore }, "Explore");
    const said = word[1] === "ended" || this.#missed ? [this.#said, " ", explore, " has all events."] : [this.#said];
    this.#state.replaceChildren(make("span", { className: `state ${word[0]}` }, word[1]), ...parts.filter(Boolean).map((part) => make("span", { className: "dim" }, part)), lost, make("span", {}, ...said));
  }
  #drawn = "";

  #row(item) {
    const at = (item.time ?? "").replace("T", " ").slice(0, 23);
    const uri = (item.event?.requestURI ?? "").split("?")[0];
    const kind = item.subresource ? `${item.resource}/${item.subresource}` : item.resource;
    const place = item.namespace && item.name ? ` ${item.namespace}/${item.name}` : item.namespace ? ` in ${item.namespace}` : item.name ? ` ${item.name}` : "";
    const cell = (text, className = "") => make("td", { title: text ?? "", className }, text ?? "");
    const id = ["", ".", "..", "-"].includes(item.auditId ?? "") ? "-" : item.auditId;
    const link = make("a", { href: `/events/${encodeURIComponent(id)}?mark=${item.mark}`, title: item.sentence }, at || "without a time");
    const row = make("tr", { className: `${item.outcome} fresh` }, make("td", {}, link), cell(item.cluster), cell(item.user), cell(item.verb),
      cell(kind ? kind + place : uri), cell(item.code === null ? "" : String(item.code), "num"), cell(item.sourceIp));
    return row;
  }
});

// Rows by keys.
const rows = () => $$("[data-rows] tbody tr, [data-rows] > li");
function step(by) {
  const all = rows();
  if (!all.length) return;
  const now = all.findIndex((row) => row.ariaSelected === "true");
  const next = all[Math.min(all.length - 1, Math.max(0, now < 0 ? 0 : now + by))];
  all[now]?.removeAttribute("aria-selected");
  next.ariaSelected = "true";
  next.scrollIntoView({ block: "nearest" });
  $("a", next)?.focus({ preventScroll: true });
}

/** A list to choose from by typing: `places` makes it of what was typed: a name, what it is, where it leads. */
function choose(asked, places) {
  const input = make("input", { placeholder: asked, role: "combobox" });
  input.setAttribute("aria-label", asked);
  const list = make("ul", { className: "options", role: "listbox" });
  const dialog = make("dialog", {}, input, list);
  const show = () => {
    list.replaceChildren(...places(input.value.trim()).map((place, number) => {
      const option = make("li", { role: "option" }, place.name, make("span", { className: "about" }, place.about ?? ""));
      option.ariaSelected = String(number === 0);
      option.addEventListener("click", () => { dialog.close(); go(place.to); });
      return option;
    }));
  };
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    const all = [...list.children];
    const now = all.findIndex((option) => option.ariaSelected === "true");
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) {
      event.preventDefault();
      if (all[now]) all[now].ariaSelected = "false";
      const next = all[(now + by + all.length) % all.length];
      if (next) next.ariaSelected = "true";
    } else if (event.key === "Enter") {
      event.preventDefault();
      all[now]?.click();
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  show();
  dialog.showModal();
}

/** Where one can go, by name. */
function palette() {
  const all = $$(".side a").map((link) => ({ name: link.textContent, to: link.getAttribute("href"), about: `g ${link.dataset.key}` }));
  choose("Go to a page, or ask: resource:secrets", (text) => {
    const found = all.filter((place) => place.name.toLowerCase().includes(text.toLowerCase()));
    if (text) found.push({ name: `Explore ${text}`, to: `/explore?${new URLSearchParams({ filter: text })}` });
    return found;
  });
}

/** This question, and the events with (or without) what a cell shows. */
function narrowed(filter, without) {
  const parts = $$(".chips code").map((part) => part.textContent).map((part) => (/ or /i.test(part) ? `(${part})` : part));
  const to = new URL(location.href);
  for (const name of ["cursor", "event", "mark"]) to.searchParams.delete(name);
  to.searchParams.set("filter", [...parts, without ? `not (${filter})` : filter].join(" and "));
  return to.pathname + to.search;
}

/** The values of the chosen row, to keep or to leave out. */
function pivot(without) {
  const row = $('[data-rows] [aria-selected="true"]') ?? rows()[0];
  const cells = row ? $$("[data-filter]", row) : [];
  if (!cells.length) return;
  const all = cells.map((cell) => ({ name: cell.dataset.filter, to: narrowed(cell.dataset.filter, without) }));
  choose(without ? "Without events with" : "Only events with", (text) => all.filter((one) => one.name.toLowerCase().includes(text.toLowerCase())));
}

// The same with the mouse: beside the value that it points at.
document.addEventListener("mouseover", (event) => {
  const cell = event.target.closest?.("td[data-filter]");
  if (!cell || $(".pivot", cell)) return;
  for (const other of $$(".pivot")) other.remove();
  const link = (text, without, said) => make("a", { href: narrowed(cell.dataset.filter, without), title: said, ariaLabel: said }, text);
  const both = make("span", { className: "pivot" }, link("+", false, `Only ${cell.dataset.filter}`), link("−", true, `Without ${cell.dataset.filter}`));
  cell.append(both);
  window.htmx?.process(both);
});

/** Marks a row; what is marked can be copied together. */
function mark() {
  const row = $('[data-rows] [aria-selected="true"]');
  if (row) row.toggleAttribute("data-marked");
  const marked = $$("[data-marked] a[href]:first-of-type").filter((link) => !link.closest(".pivot"));
  $(".marked")?.remove();
  if (!marked.length) return;
  const copy = (name, text) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(await text()); button.textContent = "Copied"; }
      catch (error) { say(button, error.message); }
    });
    return button;
  };
  const links = () => marked.map((link) => new URL(link.getAttribute("href"), location.href).href).join("\n");
  const ids = marked.map((link) => new URL(link.href).searchParams).filter((part) => part.get("event"));
  const json = async () => (await Promise.all(ids.map(async (part) => {
    const found = await api("GET", `/api/v1/events/${encodeURIComponent(part.get("event"))}`);
    return JSON.stringify(found.items.find((one) => one.mark === part.get("mark"))?.event ?? null);
  }))).join("\n");
  const none = make("button", { type: "button", className: "quiet" }, "None");
  none.addEventListener("click", () => { for (const one of $$("[data-marked]")) one.removeAttribute("data-marked"); $(".marked").remove(); });
  const bar = make("div", { className: "marked", role: "status" }, `${marked.length} marked`, copy("Copy links", links), ...(ids.length ? [copy("Copy as JSON lines", json)] : []), none);
  document.body.append(bar);
}

function help() {
  const keys = [["/", "to the filter"], ["j k", "next, previous row"], ["Enter", "open"], ["Esc", "close, back"], ["t", "time"],
    ["x", "mark the row"], ["f F", "only with, without a value of the row"], ["c", "copy the address"], ["g …", "go to a page"], ["Ctrl K", "go anywhere"], ["?", "this list"],
    ...$$(".side a").map((link) => [`g ${link.dataset.key}`, link.textContent])];
  const list = make("div", { className: "keys" }, ...keys.flatMap(([key, what]) => [make("kbd", {}, key), make("span", {}, what)]));
  const dialog = make("dialog", {}, list);
  dialog.setAttribute("aria-label", "Keys");
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

let prefix = false;
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return palette();
  }
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "Escape" && typing && !event.defaultPrevented) return event.target.blur?.();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (prefix) {
    prefix = false;
    const link = $(`.side a[data-key="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  const does = {
    "/": () => { const input = $("#filter"); if (input) { input.focus(); input.select(); } else palette(); },
    j: () => step(1), k: () => step(-1), x: mark, f: () => pivot(false), F: () => pivot(true),
    t: () => { const menu = $("details.menu"); if (menu) { menu.open = true; $("input, a", menu)?.focus(); } },
    c: () => navigator.clipboard.writeText(location.href),
    g: () => { prefix = true; setTimeout(() => (prefix = false), 1200); },
    "?": help,
    Escape: () => { for (const menu of $$("details.menu[open]")) menu.open = false; $("[data-close]")?.click(); },
  }[event.key];
  if (does) { event.preventDefault(); does(); }
});
document.addEventListener("click", (event) => { if (event.target.closest?.("[data-palette]")) palette(); });

// Buttons that change something: data-api="METHOD /path", data-body a JSON text, data-done an address to go to.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-api]");
  if (!button) return;
  const [method, path] = button.dataset.api.split(" ");
  button.disabled = true;
  try {
    const answer = await api(method, path, button.dataset.body ? JSON.parse(button.dataset.body) : undefined);
    // data-refused names the member of an answer that says why nothing came of it.
    const why = answer?.[button.dataset.refused];
    if (why) throw new Error((button.dataset.refusedAs ?? "") + why);
    go(button.dataset.done ?? location.pathname + location.search);
  } catch (error) {
    say(button, error.message);
    button.disabled = false;
  }
});

// Forms that change something: data-api as above; their fields are the body.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.api) return;
  event.preventDefault();
  event.stopPropagation();
  const [method, path] = form.dataset.api.split(" ");
  const body = {};
  for (const field of form.elements) {
    if (!field.name || (field.value === "" && !field.required)) continue;
    body[field.name] = field.value;
  }
  try {
    const answer = await api(method, path, body);
    const shown = $(form.dataset.show ?? "klio-none");
    if (shown) { shown.textContent = answer[form.dataset.member] ?? ""; shown.closest("[hidden]")?.removeAttribute("hidden"); form.reset(); }
    else go(form.dataset.done ?? location.pathname + location.search);
  } catch (error) {
    say(form, error.message);
  }
}, true);

/** Says beside an element why it did not work. */
function say(beside, text) {
  const known = beside.parentElement.querySelector(":scope > .wrong.said");
  (known ?? beside.parentElement.appendChild(make("p", { className: "wrong said", role: "alert" }))).textContent = text;
}

// A link to a part of the page opens what is folded there.
const unfold = () => {
  const there = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = there && $("details", there);
  if (fold) fold.open = true;
};
addEventListener("hashchange", unfold);
unfold();
