// What is most often wrong of the Web Content Accessibility Guidelines (2.2, level AA), as a list.
() => {
  const shown = (selector) =>
    [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility({ opacityProperty: true }));
  const complaints = [];

  // 4.1.2: what can be used has a name.
  for (const one of shown("a, button, input, select, table, img, [role=region]")) {
    const label = one.labels?.[0]?.textContent.trim();
    const named = one.ariaLabel || label || one.caption?.textContent || one.textContent.trim() || one.closest(".scroll");
    if (!named && one.getAttribute("alt") === null) complaints.push(`no name: ${one.outerHTML}`);
  }

  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  complaints.push(...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `twice: ${id}`));

  // 1.4.3: text and what is behind it differ enough.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const linear = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  for (const one of shown("body *")) {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || one.closest(":disabled, .sr, noscript, option")) continue;
    const [lighter, darker] = [light(rgba(getComputedStyle(one).color)), light(behind(one))].sort((a, b) => b - a);
    const contrast = (lighter + 0.05) / (darker + 0.05);
    if (contrast < 4.5) complaints.push(`contrast ${contrast.toFixed(2)}: ${one.outerHTML.slice(0, 120)}`);
  }
  return complaints;
}
