// The list of Services: what is shown of it follows from the address, so every view of it can be sent to somebody.

import { $, STATUSES, ago, badge, copyButton, element, statusName } from "./dom.js";

const STEP = 100; // rows that are added at a time: 5,000 at once would take the page a second
export const keyOf = (service) => `${service.namespace}/${service.name}`;

let all = [];
let loaded = false;
let fit = [];
let rendered = 0;
let filter = { q: "", status: "", namespace: "", type: "" };
let changeAddress = () => {};

// Observed anew each time: who scrolls on before the next frame would never leave the margin, and so never enter it.
const watcher = new IntersectionObserver(
  (entries) => {
    if (!entries.some((one) => one.isIntersecting)) return;
    watcher.unobserve($("more"));
    addRows(Math.max(STEP, rendered / 2)); // more and more, or the last of many would be hundreds of layouts away
    watcher.observe($("more"));
  },
  { rootMargin: "600px" },
);

export function start(onFilter) {
  changeAddress = onFilter;
  $("search").addEventListener("input", () => change({ q: $("search").value }));
  $("namespace").addEventListener("change", () => change({ namespace: $("namespace").value }));
  $("type").addEventListener("change", () => change({ type: $("type").value }));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("rows").addEventListener("click", open);
  watcher.observe($("more"));
}

// A click anywhere in a row is one on its link, but for text that is being selected, and buttons.
function open(event) {
  if (event.target.closest("a, button") || String(getSelection())) return;
  event.target.closest("tr")?.querySelector("a").click();
}

function change(changes) {
  filter = { ...filter, ...changes };
  changeAddress(filter);
  show();
}

export function setFilter(wanted) {
  filter = { q: "", status: "", namespace: "", type: "", ...wanted };
  if ($("search").value !== filter.q) $("search").value = filter.q;
  show();
}

// What wants somebody's attention comes first, what is left out last.
const ORDER = ["unhealthy", "needs_credentials", "verified", "credentialed", "unproven", "left_out"];
const byAttention = (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status);

export function setServices(services) {
  loaded = true;
  all = [...services].sort(byAttention).map((one) => ({ ...one, text: [keyOf(one), one.type, one.title, one.url, ...one.toolsets, ...one.evidence].join(" ").toLowerCase() }));
  show();
}

function show() {
  const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
  const others = all.filter(
    (one) => (!filter.namespace || one.namespace === filter.namespace) && (!filter.type || one.type === filter.type) && words.every((word) => one.text.includes(word)),
  );
  fit = others.filter((one) => !filter.status || one.status === filter.status);
  showStatuses(others);
  choices("namespace", "All namespaces", all.map((one) => one.namespace));
  choices("type", "All backends", all.map((one) => one.type).filter(Boolean));
  $("shown").textContent = !loaded ? "" : all.length === fit.length ? `${all.length} Services` : `${fit.length} of ${all.length} Services`;
  const focused = document.activeElement?.closest?.("#rows a")?.hash;
  const keep = Math.max(STEP, Math.min(rendered, fit.length));
  $("rows").replaceChildren();
  rendered = 0;
  if (!fit.length && loaded) $("rows").append(element("tr.none", {}, element("td", { colspan: "5" }, all.length ? "Nothing fits. Try fewer words." : "Nothing was found yet that looks like a backend.")));
  addRows(keep);
  if (focused) [...$("rows").querySelectorAll("a")].find((link) => link.hash === focused)?.focus({ preventScroll: true });
}

function addRows(count = STEP) {
  if (rendered >= fit.length) return;
  const rows = document.createDocumentFragment();
  for (const one of fit.slice(rendered, Math.floor(rendered + count))) rows.append(row(one));
  rendered = Math.min(fit.length, Math.floor(rendered + count));
  $("rows").append(rows);
}

function row(one) {
  const reason = one.status === "left_out" ? one.evidence.join("; ") : "";
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, element("a", { href: `#/services/${encodeURIComponent(one.namespace)}/${encodeURIComponent(one.name)}` }, one.name, element("span.sr", {}, " in "), element("span.namespace", {}, one.namespace))),
    element("td.type", {}, one.title || element("span.muted", {}, "–")),
    element("td.status", {}, badge(one.status)),
    element("td.url", {}, one.url ? element("code", {}, one.url) : element("span.muted", {}, reason), one.url && copyButton(one.url, `Copy the URL of ${keyOf(one)}`)),
    element("td.since", {}, ago(one.since)),
  );
}

function showStatuses(services) {
  const focused = document.activeElement?.dataset?.status;
  const count = (status) => services.filter((one) => !status || one.status === status).length;
  const present = STATUSES.filter((status) => all.some((one) => one.status === status) || filter.status === status);
  $("statuses").replaceChildren(
    ...["", ...present].map((status) =>
      element(
        `button.tile${status ? `.${status}` : ""}`,
        { type: "button", "data-status": status, "aria-pressed": String(filter.status === status), click: () => change({ status: filter.status === status ? "" : status }) },
        element("span.number", {}, String(count(status))),
        element("span.name", {}, status ? statusName(status) : "All"),
      ),
    ),
  );
  if (focused !== undefined) [...$("statuses").children].find((one) => one.dataset.status === focused)?.focus();
}

function choices(id, none, values) {
  const wanted = ["", ...new Set([...values, filter[id]].filter(Boolean))].sort();
  const select = $(id);
  if ([...select.options].map((one) => one.value).join(" ") !== wanted.join(" ")) {
    select.replaceChildren(...wanted.map((value) => element("option", { value }, value || none)));
  }
  select.value = filter[id];
}

// Up and down go from one Service to the next, from wherever the keyboard is.
export function step(by) {
  const links = [...$("rows").querySelectorAll("a")];
  const at = links.indexOf(document.activeElement?.closest?.("#rows a"));
  const next = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
