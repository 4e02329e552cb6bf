// The page: asks the service every two seconds, and shows what the address says.

import { ApiError, post, read, token } from "./api.js";
import { showActivity, showFile } from "./activity.js";
import * as detail from "./detail.js";
import { $, element, refreshTimes } from "./dom.js";
import * as services from "./services.js";

const EVERY = 2000; // ms
const LONGEST = 30000;
const PAGE = 1000;

let status = null;
let list = [];
let pages = [];
let wait = EVERY;
let timer = 0;

// The address: #/services?q=…&status=…, #/services/NAMESPACE/NAME, #/activity, #/file
function address() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  const [, view = "", ...rest] = path.split("/");
  const known = ["services", "activity", "file"].includes(view) ? view : "services";
  const key = known === "services" && rest.length === 2 ? rest.map(decoded).join("/") : "";
  return { view: known, key, filter: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

let listAddress = "#/services";

function filtered(filter) {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
  listAddress = `#/services${query.size ? `?${query}` : ""}`;
  history.replaceState(null, "", listAddress);
}

function route() {
  const { view, key, filter } = address();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const name of ["services", "activity", "file"]) $(name).hidden = name !== view;
  if (view === "services" && !key) {
    listAddress = location.hash || "#/services";
    services.setFilter(filter);
  }
  showView();
}

function showView() {
  const { view, key } = address();
  if (key) detail.show(list.find((one) => services.keyOf(one) === key), key, close);
  else detail.hide();
  if (view === "activity" && status) showActivity(status);
  if (view === "file" && status) showFile();
}

function close() {
  const from = location.hash;
  location.hash = listAddress;
  [...document.querySelectorAll("#rows a")].find((link) => link.hash === from)?.focus();
}

async function refresh() {
  clearTimeout(timer);
  try {
    const before = status;
    status = await read("status");
    if (status !== before) await readServices();
    wait = EVERY;
    showStatus(status !== before);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    failed(error);
  } finally {
    refreshTimes();
    if (!document.hidden && !$("sign-in").open) timer = setTimeout(refresh, wait);
  }
}

// Page by page, so that the first is seen at once.
async function readServices() {
  const found = [];
  const read_ = [];
  for (let after = ""; ; ) {
    const page = await read(`services?limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    found.push(...page.items);
    read_.push(page);
    if (!list.length && page.next) services.setServices(found);
    after = page.next;
    if (!after) break;
  }
  if (read_.length !== pages.length || read_.some((page, index) => page !== pages[index])) {
    list = found;
    pages = read_;
    services.setServices(list);
  }
}

function showStatus(changed) {
  $("source").textContent = `for HolmesGPT, of ${status.source}`;
  $("discover").disabled = status.pass_under_way;
  $("discover").textContent = status.pass_under_way ? "Looking …" : "Look again";
  $("sign-out").hidden = !token.get();
  live("good", "Live");
  const told = [...status.failures];
  if (status.network_down) told.unshift("All backends fail at once: is it the network? What is published is left as it is.");
  banners(told);
  if (changed) showView();
}

function failed(error) {
  if (error.status === 401) {
    live("bad", "Not signed in");
    banners([]);
    signIn(token.get() ? error.message : "");
    return;
  }
  wait = Math.min(LONGEST, wait * 2);
  live("bad", error.status ? "Refused" : "No connection");
  banners([error.message]);
  $("discover").disabled = true;
  $("sign-out").hidden = !token.get();
}

function live(state, words) {
  const now = `${state} ${words}`;
  if ($("live").dataset.now === now) return; // or it would be read aloud every two seconds
  $("live").dataset.now = now;
  $("live").replaceChildren(element(`span.dot.${state}`, { "aria-hidden": "true" }), words);
}

function banners(texts) {
  if ($("banners").dataset.texts === texts.join("\n")) return;
  $("banners").dataset.texts = texts.join("\n");
  $("banners").replaceChildren(...texts.map((text) => element("p.banner.bad", {}, text)));
}

function signIn(why) {
  $("sign-in-why").textContent = why || "This service shows what it found to whom its cluster knows.";
  if (!$("sign-in").open) $("sign-in").showModal();
  $("token").focus();
}

async function discover() {
  $("discover").disabled = true;
  try {
    await post("discover");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status !== 409) banners([error.message]);
    if (error.status === 401) return failed(error);
    if (error.status === 403) return;
  }
  refresh();
}

function pressed(event) {
  const typing = event.target.closest("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || $("sign-in").open) return;
  if (event.key === "Escape") {
    if (address().key) close();
    else if (event.target === $("search")) $("search").blur();
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    location.hash = listAddress;
    $("search").focus();
  } else if (["ArrowDown", "ArrowUp"].includes(event.key) && !event.target.closest("select, pre, aside") && !$("services").hidden) {
    event.preventDefault();
    services.step(event.key === "ArrowDown" ? 1 : -1);
  }
}

services.start(filtered);
addEventListener("hashchange", route);
addEventListener("keydown", pressed);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
$("discover").addEventListener("click", discover);
$("sign-out").addEventListener("click", () => {
  token.set("");
  location.reload();
});
$("sign-in").addEventListener("cancel", (event) => event.preventDefault());
$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set($("token").value.trim());
  $("token").value = "";
  $("sign-in").close();
  wait = EVERY;
  refresh();
});
route();
refresh();
