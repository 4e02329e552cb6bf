// Building the page. Text from the cluster only ever becomes text: nothing here parses HTML.

export const $ = (id) => document.getElementById(id);

// element("a.chip", {href: "#"}, "text", child, …); functions become listeners, false and null are left out.
export function element(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== false && child !== ""));
  return made;
}

export function copyButton(text, label = "Copy") {
  const button = element("button.button.small.copy", { type: "button", "aria-label": label, title: label }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(text)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

// Without TLS, away from localhost, browsers have no clipboard of their own: the old way works there.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea.sr", { readonly: "" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function codeBlock(text, label) {
  return element("div.code", {}, copyButton(text, label), element("pre", { tabindex: "0" }, text));
}

const STEPS = [[60, "s"], [60, "min"], [24, "h"], [Infinity, "d"]];

// "3 min ago", the whole time as its title.
export function ago(moment) {
  if (!moment) return element("span.muted", {}, "–");
  return element("time", { datetime: moment, title: new Date(moment).toLocaleString() }, wordsFor(moment));
}

export function wordsFor(moment) {
  let value = Math.max(0, (Date.now() - Date.parse(moment)) / 1000);
  if (value < 5) return "just now";
  for (const [size, unit] of STEPS) {
    if (value < size) return `${Math.floor(value)} ${unit} ago`;
    value /= size;
  }
}

export function refreshTimes() {
  for (const time of document.querySelectorAll("time")) time.textContent = wordsFor(time.dateTime);
}

const NAMES = {
  verified: "Verified",
  credentialed: "With credentials",
  unhealthy: "Unhealthy",
  needs_credentials: "Needs credentials",
  unproven: "Unproven",
  left_out: "Left out",
};
export const STATUSES = Object.keys(NAMES);
export const statusName = (status) => NAMES[status] ?? status;
export const badge = (status) => element(`span.badge.${STATUSES.includes(status) ? status : "left_out"}`, {}, statusName(status));
