// What the service did lately, and HolmesGPT's file.

import { read } from "./api.js";
import { $, ago, codeBlock, element } from "./dom.js";

export function showActivity(status) {
  $("activity").replaceChildren(
    element("div.cards", {}, card("Leader", leader(status)), card("Published", status.ready ? "yes, and kept" : "not yet"), card("Version", status.version)),
    element("h2", {}, "Passes"),
    status.passes.length ? passes(status.passes) : element("p.muted", {}, "None has ended yet."),
    element("h2", {}, "Watches"),
    status.watches.length ? watches(status.watches) : element("p.muted", {}, "Nothing is watched: this looks at manifests."),
  );
}

const card = (name, value) => element("div.card", {}, element("span.name", {}, name), element("strong", {}, value));

function leader(status) {
  if (status.leads === null) return "no ConfigMaps are written";
  if (status.leads) return "this replica";
  return status.leader || "nobody yet";
}

function passes(list) {
  const head = ["Ended", "Took", "Discovered", "Left out", "Unanswered", "What failed"];
  return element(
    "div.scroll", { tabindex: "0", role: "region", "aria-label": "Passes" },
    element(
      "table.plain", {},
      element("thead", {}, element("tr", {}, head.map((title) => element("th", { scope: "col" }, title)))),
      element("tbody", {}, list.map((one) =>
        element(`tr${one.failures.length ? ".failed" : ""}`, {},
          element("td", {}, ago(one.ended)),
          element("td", {}, `${one.seconds.toFixed(2)} s`),
          element("td", {}, String(one.discovered)),
          element("td", {}, String(one.left_out)),
          element("td", {}, String(one.unanswered)),
          element("td", {}, one.failures.join("; ") || "–", one.times > 1 && ` (${one.times} times)`),
        ))),
    ),
  );
}

function watches(list) {
  return element("ul.watches", {}, list.map((one) => {
    const well = one.state === "watching";
    return element(`li${well ? "" : ".failed"}`, {}, element(`span.dot${well ? ".good" : ".bad"}`, { "aria-hidden": "true" }), element("span", {}, one.name), element("span.muted", {}, one.state));
  }));
}

export async function showFile() {
  let content;
  try {
    content = codeBlock(await read("custom_toolset.yaml"), "Copy the file");
  } catch (error) {
    content = element("p.bad-text", {}, error.message);
  }
  const words = "What is generated, with the overrides over it. Where HolmesGPT has a toolset file of its own, that wins, and is not shown here.";
  if ($("file").querySelector("pre")?.textContent !== content.querySelector?.("pre")?.textContent || !$("file").hasChildNodes()) {
    $("file").replaceChildren(element("p.muted", {}, words), content);
  }
}
