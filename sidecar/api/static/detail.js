// One Service: what it is, why, what HolmesGPT gets of it, and what is still to do.

import { ApiError, forget, read } from "./api.js";
import { $, ago, badge, codeBlock, copyButton, element } from "./dom.js";

let shown = "";
let asking = false;

export function show(service, key, close) {
  const state = JSON.stringify([key, service ?? null]);
  if (shown === state) return;
  const same = shown && JSON.parse(shown)[0] === key;
  const explanation = same ? $("explanation") : null; // what was just read does not vanish at the next change
  shown = state;
  const panel = $("detail");
  panel.replaceChildren(
    element("div.detail-head", {}, element("h2", {}, key), element("button.button.close", { type: "button", "aria-label": "Close", click: close }, "✕")),
    ...(service ? about(service) : [element("p.muted", {}, "It is not here any more, or nothing speaks for it.")]),
    explain(key, explanation),
  );
  panel.hidden = false;
  if (!same) panel.focus({ preventScroll: true });
}

export function hide() {
  shown = "";
  $("detail").hidden = true;
  $("detail").replaceChildren();
}

function about(one) {
  return [
    element("p.summary", {}, badge(one.status), one.title && element("strong", {}, one.title), one.since && element("span.muted", {}, ago(one.since))),
    one.url && part("URL", element("div.line", {}, element("code", {}, one.url), copyButton(one.url, "Copy the URL"))),
    one.advice && part(one.status === "needs_credentials" ? "What it needs" : "Mind", ...advice(one.advice)),
    part(one.status === "left_out" ? "Why it is left out" : "Why it is taken for that", element("ul", {}, one.evidence.map((line) => element("li", {}, line)))),
    one.toolsets.length > 0 && part("What HolmesGPT gets", ...one.toolsets.map(toolset)),
  ].filter(Boolean);
}

const part = (title, ...content) => element("section", {}, element("h3", {}, title), ...content);

// The service says what to add to its configuration; that is put where it can be copied.
function advice(text) {
  const found = text.match(/\{service: (\S+), type: (\S+), values: \{(.*)\}\}$/);
  if (!found) return [element("p", {}, text)];
  const [, service, type, values] = found;
  const needs = [...values.matchAll(/(\w+): "/g)].map(([, name]) => [name, `${type}_${name}`.toUpperCase().replace(/\W/g, "_")]);
  const lines = [
    "service_discovery:",
    "  credentials:",
    `    allowed_env: [${needs.map(([, variable]) => variable).join(", ")}]`,
    "    bindings:",
    `    - service: ${service}`,
    `      type: ${type}`,
    "      values:",
    ...needs.map(([name, variable]) => `        ${name}: "{{ env.${variable} }}"`),
  ];
  return [
    element("p", {}, "It asks for a login. Add to config.yaml, naming variables of HolmesGPT's environment that hold it:"),
    codeBlock(`${lines.join("\n")}\n`, "Copy what to add"),
  ];
}

function toolset(name) {
  const content = element("div", {}, element("p.muted", {}, "Loading …"));
  const load = async (event) => {
    if (!event.target.open) return;
    try {
      const { yaml } = await read(`toolsets/${name.split("/").map(encodeURIComponent).join("/")}`);
      content.replaceChildren(codeBlock(yaml.replace(/^#.*\n/gm, ""), `Copy ${name}`));
    } catch (error) {
      content.replaceChildren(element("p.bad-text", {}, error.message));
    }
  };
  return element("details", { toggle: load }, element("summary", {}, name), content);
}

function explain(key, before) {
  const answer = before ?? element("div", { id: "explanation", "aria-live": "polite" });
  const button = element("button.button", { type: "button", id: "explain" }, "Ask it now, and tell every step");
  button.addEventListener("click", async () => {
    if (asking) return;
    asking = true;
    answer.replaceChildren(element("p.muted", {}, "Asking …"));
    const path = `services/${key}`;
    try {
      forget(path);
      answer.replaceChildren(codeBlock((await read(path)).explanation, "Copy the explanation"));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      answer.replaceChildren(element("p.bad-text", {}, error.message));
    } finally {
      asking = false;
    }
  });
  return part("Explain", button, answer);
}
