"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  // Names are untrusted, so they become text nodes, never markup.
  const make = (name, classes, text) => {
    const node = document.createElement(name);
    if (classes) node.className = classes;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const bytes = (size) => {
    let value = size, unit = 0;
    while (value >= 1024 && unit < 4) { value /= 1024; unit += 1; }
    return unit === 0 ? `${size} B` : `${value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
  };
  const baseName = (path) => path.slice(path.lastIndexOf("/") + 1) || "/";
  const state = { image: 0, by: "layer", trail: [], chosen: -1, search: "" };
  let image, roots, hues, brings;

  // ---- data -------------------------------------------------------------------------------------------------------

  // A file: [path, kind, size, layer, package, askers, reasons]; a reason: [text, index of the file behind it or -1].
  // `brings` lists the files that each file adds, `from` the files of each request.
  const P = 0, KIND = 1, SIZE = 2, LAYER = 3, PACKAGE = 4, ASKERS = 5, WHY = 6;
  const packageName = (file) => image.packages[file[PACKAGE]].name;
  const layerName = (file) => image.layers[file[LAYER]];
  const originName = (file) => file[ASKERS].length === 1 ? image.asked[file[ASKERS][0]] : "shared by several";
  const directory = (file) => file[P].slice(0, file[P].lastIndexOf("/")) || "/";
  const levels = {
    layer: [layerName, packageName],
    origin: [originName, packageName],
    package: [packageName, directory],
  };

  const hierarchy = (by) => {
    const root = { name: "all", size: 0, files: [], children: new Map() };
    image.files.forEach((file, index) => {
      if (file[SIZE] === 0) return;
      let node = root;
      node.size += file[SIZE];
      for (const level of levels[by]) {
        const name = level(file);
        if (!node.children.has(name)) node.children.set(name, { name, size: 0, files: [], children: new Map(), parent: node });
        node = node.children.get(name);
        node.size += file[SIZE];
      }
      node.files.push(index);
    });
    return root;
  };

  const childrenOf = (node) => {
    const groups = [...node.children.values()];
    const files = node.files.map((index) => ({ name: baseName(image.files[index][P]), size: image.files[index][SIZE], file: index }));
    return groups.concat(files).sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1));
  };

  // ---- treemap ----------------------------------------------------------------------------------------------------

  // Squarified treemaps, Bruls, Huizing and van Wijk, 2000.
  const squarify = (items, box) => {
    const placed = [];
    let { x, y, w, h } = box;
    let left = items.reduce((sum, item) => sum + item.size, 0);
    const worst = (row, sum, side, scale) => {
      const area = sum * scale, most = row[0].size * scale, least = row[row.length - 1].size * scale;
      return Math.max(side * side * most / (area * area), area * area / (side * side * least));
    };
    let at = 0;
    while (at < items.length && w > 0 && h > 0 && left > 0) {
      const scale = w * h / left, side = Math.min(w, h);
      const row = [items[at]];
      let sum = items[at].size;
      while (at + row.length < items.length) {
        const next = items[at + row.length];
        if (worst(row.concat(next), sum + next.size, side, scale) > worst(row, sum, side, scale)) break;
        row.push(next);
        sum += next.size;
      }
      const thick = sum * scale / side;
      let along = 0;
      for (const item of row) {
        const length = item.size * scale / thick;
        placed.push(w >= h ? { item, x, y: y + along, w: thick, h: length } : { item, x: x + along, y, w: length, h: thick });
        along += length;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
      left -= sum;
      at += row.length;
    }
    return placed;
  };

  // Small files share one tile.
  const gathered = (items, box, least) => {
    const total = items.reduce((sum, item) => sum + item.size, 0);
    const scale = box.w * box.h / Math.max(total, 1);
    let cut = items.findIndex((item) => item.size * scale < least);
    if (cut < 0 || items.length - cut < 2) return items;
    const rest = items.slice(cut);
    const size = rest.reduce((sum, item) => sum + item.size, 0);
    return items.slice(0, cut).concat({ name: `${rest.length} small`, size, rest }).sort((a, b) => b.size - a.size);
  };

  const current = () => state.trail.length ? state.trail[state.trail.length - 1] : roots[state.by];

  const draw = () => {
    const map = $("map"), node = current();
    const box = { x: 3, y: 3, w: map.clientWidth - 6, h: map.clientHeight - 6 };
    map.replaceChildren();
    if (node.size === 0) map.append(make("p", "empty", "There are no bytes in this root filesystem."));
    const items = childrenOf(node);
    for (const place of squarify(gathered(items, box, 700), box)) tile(map, place, items, true);
    roving(map);
    mark();
    crumbs();
  };

  const put = (element, { x, y, w, h }) => {
    Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${Math.max(w - 2, 1)}px`, height: `${Math.max(h - 2, 1)}px` });
  };

  const tile = (into, place, siblings, isTop) => {
    const { item, w, h } = place;
    const isGroup = item.children !== undefined;
    const element = make("div", isGroup ? "group" : item.rest ? "leaf rest" : "leaf");
    element.item = item;
    element.tabIndex = -1;
    element.setAttribute("role", "button");
    element.dataset.bytes = item.size;
    if (isTop) element.dataset.top = "1";
    element.setAttribute("aria-label", `${item.name}, ${bytes(item.size)}`);
    element.title = `${item.file !== undefined ? image.files[item.file][P] : item.name}\n${bytes(item.size)}`;
    element.style.setProperty("--h", hueOf(item, siblings, isTop, into));
    put(element, place);
    if (isGroup) {
      if (w > 34 && h > 24) {
        const label = make("div", "label", item.name);
        label.append(make("small", "", bytes(item.size)));
        element.append(label);
      }
      const inner = { x: 3, y: 24, w: w - 8, h: h - 29 };
      if (inner.w > 14 && inner.h > 14) {
        const parts = childrenOf(item);
        for (const part of squarify(gathered(parts, inner, 60), inner)) tile(element, part, parts, false);
      }
    } else if (w > 46 && h > 20) {
      element.textContent = item.name;
      if (h > 38) element.append(make("small", "", bytes(item.size)));
    }
    into.append(element);
  };

  const hueOf = (item, siblings, isTop, into) => {
    if (!isTop) return into.style.getPropertyValue("--h");
    const name = item.name;
    if (!hues.has(name)) hues.set(name, (hues.size * 137.5 + 24) % 360);
    return Math.round(hues.get(name));
  };

  const roving = (map) => {
    const first = map.querySelector("[role=button]");
    if (first) first.tabIndex = 0;
  };

  const open = (item) => {
    if (item.file !== undefined) choose(item.file);
    else if (item.rest) inside({ name: item.name, size: item.size, children: new Map(item.rest.filter((it) => it.children).map((it) => [it.name, it])), files: item.rest.filter((it) => it.file !== undefined).map((it) => it.file) });
    else inside(item);
  };

  const inside = (node) => {
    state.trail.push(node);
    draw();
    group(node);
    focusFirst();
  };

  const back = () => {
    if (!state.trail.length) return;
    const left = state.trail.pop();
    draw();
    const again = [...$("map").children].find((element) => element.item && element.item.name === left.name);
    if (again) focusTile(again); else focusFirst();
    if (state.trail.length) group(current()); else summary();
  };

  const focusTile = (element) => {
    $("map").querySelectorAll("[tabindex='0']").forEach((other) => { other.tabIndex = -1; });
    element.tabIndex = 0;
    element.focus({ preventScroll: true });
  };
  const focusFirst = () => {
    const first = $("map").querySelector("[role=button]");
    if (first) focusTile(first);
  };

  const crumbs = () => {
    const list = $("crumbs");
    const all = [{ name: `All, by ${state.by}`, depth: 0 }].concat(state.trail.map((node, at) => ({ name: node.name, depth: at + 1 })));
    list.replaceChildren(...all.map(({ name, depth }) => {
      const item = make("li");
      if (depth === state.trail.length) item.append(make("b", "", name));
      else {
        const button = make("button", "", name);
        button.type = "button";
        button.addEventListener("click", () => { state.trail.length = depth; draw(); depth ? group(current()) : summary(); focusFirst(); });
        item.append(button);
      }
      return item;
    }));
  };

  const move = (key) => {
    const from = document.activeElement;
    if (!from || !from.item) return focusFirst();
    const map = $("map");
    const centre = (element) => {
      const box = element.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2];
    };
    const [x, y] = centre(from);
    const level = from.parentElement;
    const axis = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    let best = null, least = Infinity;
    for (const other of level.querySelectorAll(":scope > [role=button]")) {
      if (other === from) continue;
      const [ox, oy] = centre(other);
      const ahead = (ox - x) * axis[0] + (oy - y) * axis[1];
      const aside = Math.abs((ox - x) * axis[1]) + Math.abs((oy - y) * axis[0]);
      if (ahead <= 1) continue;
      const far = ahead + 2 * aside;
      if (far < least) { least = far; best = other; }
    }
    if (best) focusTile(best);
    else if (level !== map && level.item) focusTile(level);
  };

  // ---- details ----------------------------------------------------------------------------------------------------

  const choose = (index) => {
    state.chosen = index;
    mark();
    const file = image.files[index], detail = $("detail");
    const own = image.packages[file[PACKAGE]];
    const list = make("dl");
    const row = (name, value) => { if (value) list.append(make("dt", "", name), make("dd", "", value)); };
    row("Size", file[SIZE] ? `${bytes(file[SIZE])} (${file[SIZE].toLocaleString("en")} bytes)` : "none of its own");
    row(own.version ? "Package" : "Part of", own.version ? `${own.name} ${own.version}` : own.name);
    row("Layer", layerName(file));
    const why = make("ol");
    const seen = new Set([index]);
    let left = 60;
    const add = (into, at) => {
      for (const [text, by] of image.files[at][WHY]) {
        if (left-- <= 0) return;
        const item = make("li", "", text);
        if (by >= 0) {
          item.append(" ");
          const link = make("button", "", image.files[by][P]);
          link.type = "button";
          link.addEventListener("click", () => choose(by));
          item.append(link);
          if (!seen.has(by)) {
            seen.add(by);
            const more = make("ol");
            add(more, by);
            if (more.children.length) item.append(more);
          }
        }
        into.append(item);
      }
    };
    add(why, index);
    detail.replaceChildren(make("h3", "", file[P]), list, make("p", "", "It is here because:"), why);
    detail.scrollTop = 0;
  };

  const group = (node) => {
    state.chosen = -1;
    const detail = $("detail"), list = make("ol");
    for (const child of childrenOf(node).slice(0, 25)) {
      const item = make("li"), button = make("button", "", child.name);
      button.type = "button";
      button.addEventListener("click", () => open(child));
      item.append(button, ` ${bytes(child.size)}`);
      list.append(item);
    }
    const share = image.size ? ` (${(node.size / image.size * 100).toFixed(1)}%)` : "";
    detail.replaceChildren(make("h3", "", node.name), make("p", "", `${bytes(node.size)}${share} of ${bytes(image.size)}`), list);
  };

  const summary = () => {
    state.chosen = -1;
    const detail = $("detail"), list = make("dl");
    for (const [name, value] of image.facts) list.append(make("dt", "", name), make("dd", "", value));
    detail.replaceChildren(make("h3", "", image.target), list, make("p", "", "Choose a tile to see what it is, and why it is here."));
  };

  const mark = () => {
    $("map").querySelectorAll(".leaf").forEach((leaf) => {
      leaf.classList.toggle("chosen", state.chosen >= 0 && leaf.item.file === state.chosen);
    });
    searchMap();
  };

  // ---- additions --------------------------------------------------------------------------------------------------

  const costs = () => {
    const most = Math.max(1, ...image.costs.map((cost) => cost.all));
    $("costs").replaceChildren(...image.costs.map((cost) => {
      const item = make("li"), button = make("button");
      button.type = "button";
      button.append(make("span", "of", cost.of), make("span", "sizes", `${bytes(cost.alone)} of ${bytes(cost.all)}`));
      button.title = `${cost.of}: ${bytes(cost.alone)} alone, ${bytes(cost.all)} in all`;
      const track = make("span", "track"), all = make("i"), alone = make("i");
      all.style.width = `${cost.all / most * 100}%`;
      alone.style.width = `${cost.alone / most * 100}%`;
      track.append(all, alone);
      button.append(track);
      button.addEventListener("click", () => {
        by("origin");
        const node = roots.origin.children.get(cost.of);
        if (node) inside(node);
      });
      item.append(button);
      return item;
    }));
  };

  // ---- the tree of needs ------------------------------------------------------------------------------------------

  const needs = () => {
    const isFile = (at) => image.files[at][KIND] !== "d";
    brings = image.brings.map((list) => list.filter(isFile));
    const asked = image.from.map((list) => list.filter(isFile));
    const reach = (start) => {
      const seen = new Set(), left = [...start];
      let sum = 0;
      while (left.length) {
        const at = left.pop();
        if (seen.has(at)) continue;
        seen.add(at);
        sum += image.files[at][SIZE];
        left.push(...brings[at]);
      }
      return sum;
    };
    const node = (text, extra, kids, file, above, level) => {
      const item = make("li"), row = make("div", "row"), what = make("span", "what", text);
      item.setAttribute("role", "treeitem");
      item.setAttribute("aria-level", level);
      item.tabIndex = -1;
      if (extra) what.append(" ", make("em", "", extra));
      const sum = reach(file >= 0 ? [file] : kids);
      row.append(what, make("span", "size", bytes(sum)));
      item.append(row);
      item.sum = sum;
      item.file = file;
      const open = kids.filter((kid) => !above.has(kid));
      if (open.length) {
        item.setAttribute("aria-expanded", "false");
        item.expand = () => {
          if (item.querySelector(":scope > ul")) return;
          const list = make("ul");
          list.setAttribute("role", "group");
          const parts = open.map((kid) => {
            const path = image.files[kid][P];
            const next = new Set(above).add(kid);
            return node(baseName(path), path.slice(0, path.lastIndexOf("/")), brings[kid], kid, next, level + 1);
          });
          parts.sort((a, b) => b.sum - a.sum);
          list.append(...parts);
          item.append(list);
        };
      }
      row.addEventListener("click", () => { toggle(item); focusItem(item); if (file >= 0) choose(file); });
      return item;
    };
    const tops = image.asked.map((name, at) => asked[at].length ? node(name, "", asked[at], -1, new Set(), 1) : null).filter(Boolean);
    tops.sort((a, b) => b.sum - a.sum);
    $("needs").replaceChildren(...tops);
    if (tops.length) tops[0].tabIndex = 0;
  };

  const toggle = (item, want) => {
    if (!item.expand) return;
    const is = item.getAttribute("aria-expanded") === "true", will = want === undefined ? !is : want;
    if (will) item.expand();
    const list = item.querySelector(":scope > ul");
    if (list) list.hidden = !will;
    item.setAttribute("aria-expanded", String(will));
  };
  const focusItem = (item) => {
    $("needs").querySelectorAll("[tabindex='0']").forEach((other) => { other.tabIndex = -1; });
    item.tabIndex = 0;
    item.focus();
  };
  const treeKey = (event) => {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return false;
    const shown = [...$("needs").querySelectorAll("[role=treeitem]")].filter((other) => other.offsetParent !== null);
    const at = shown.indexOf(item), isOpen = item.getAttribute("aria-expanded") === "true";
    const to = { ArrowDown: shown[at + 1], ArrowUp: shown[at - 1], Home: shown[0], End: shown[shown.length - 1] }[event.key];
    if (to) focusItem(to);
    else if (event.key === "ArrowRight") isOpen ? focusItem(shown[at + 1] || item) : toggle(item, true);
    else if (event.key === "ArrowLeft") {
      const parent = item.parentElement.closest("[role=treeitem]");
      if (isOpen) toggle(item, false); else if (parent) focusItem(parent);
    } else if (event.key === "Enter" || event.key === " ") { toggle(item); if (item.file >= 0) choose(item.file); }
    else return ["ArrowDown", "ArrowUp"].includes(event.key);
    return true;
  };

  // ---- files ------------------------------------------------------------------------------------------------------

  const SHOWN = 300;
  const hits = (file) => !state.search || [file[P], packageName(file), layerName(file)].some((text) => text.toLowerCase().includes(state.search));
  const searchMap = () => {
    const map = $("map");
    map.classList.toggle("searching", state.search !== "");
    if (state.search) map.querySelectorAll(".leaf").forEach((leaf) => {
      const files = leaf.item.file !== undefined ? [leaf.item.file] : [];
      leaf.classList.toggle("hit", files.some((index) => hits(image.files[index])));
    });
  };
  const table = () => {
    const found = image.order.filter((index) => hits(image.files[index]));
    const sum = found.reduce((total, index) => total + image.files[index][SIZE], 0);
    const shown = found.slice(0, SHOWN);
    $("files-note").textContent = `${found.length.toLocaleString("en")} files, ${bytes(sum)}` + (found.length > SHOWN ? `; the largest ${SHOWN} are shown` : "");
    $("files").tBodies[0].replaceChildren(...shown.map((index) => {
      const file = image.files[index], row = make("tr"), cell = make("td"), button = make("button", "", file[P]);
      button.type = "button";
      button.addEventListener("click", () => { choose(index); $("detail").scrollIntoView({ block: "nearest" }); });
      cell.append(button);
      row.append(make("td", "number", bytes(file[SIZE])), cell, make("td", "package", packageName(file)), make("td", "layer", layerName(file)));
      row.lastChild.title = layerName(file);
      return row;
    }));
  };

  // ---- all of it --------------------------------------------------------------------------------------------------

  const by = (name) => {
    state.by = name;
    state.trail = [];
    hues = new Map();
    document.querySelectorAll("#groups button").forEach((button) => {
      const is = button.dataset.by === name;
      button.setAttribute("aria-checked", String(is));
      button.tabIndex = is ? 0 : -1;
    });
    draw();
    summary();
  };

  const show = (at) => {
    state.image = at;
    image = data.images[at];
    image.order = image.files.map((_, index) => index).filter((index) => image.files[index][KIND] === "f");
    image.order.sort((a, b) => image.files[b][SIZE] - image.files[a][SIZE]);
    roots = { layer: hierarchy("layer"), origin: hierarchy("origin"), package: hierarchy("package") };
    document.title = `${image.name}: ${bytes(image.size)}`;
    $("title").textContent = image.name;
    const tile = (name, value, raw) => {
      const part = make("div"), figure = make("dd", "", value);
      if (raw !== undefined) figure.dataset.bytes = raw;
      part.append(make("dt", "", name), figure);
      return part;
    };
    const owned = image.packages.filter((it) => it.version).length;
    const count = (number) => number.toLocaleString("en");
    $("tiles").replaceChildren(tile("size", bytes(image.size), image.size), tile("files", count(image.order.length)), tile("packages", count(owned)), tile("layers", count(image.layers.length)));
    costs();
    needs();
    table();
    by(state.by);
  };

  $("groups").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) by(button.dataset.by);
  });
  $("groups").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const names = Object.keys(levels);
    by(names[(names.indexOf(state.by) + step + names.length) % names.length]);
    document.querySelector("#groups [aria-checked=true]").focus();
    event.preventDefault();
    event.stopPropagation();
  });
  $("map").addEventListener("click", (event) => {
    const element = event.target.closest("[role=button]");
    if (!element) return;
    focusTile(element);
    open(element.item);
  });
  $("needs").addEventListener("keydown", (event) => {
    if (treeKey(event)) { event.preventDefault(); event.stopPropagation(); }
  });
  $("search").addEventListener("input", (event) => {
    state.search = event.target.value.trim().toLowerCase();
    table();
    searchMap();
  });
  $("target").addEventListener("change", (event) => show(Number(event.target.value)));
  const isDark = () => document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; };
  $("theme").addEventListener("click", theme);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.matches("input, select");
    if (event.key === "Escape") {
      if (isTyping) { $("search").value = ""; state.search = ""; table(); searchMap(); focusFirst(); } else back();
    } else if (isTyping) return;
    else if (event.key.startsWith("Arrow") && event.target.closest("#map")) move(event.key);
    else if ((event.key === "Enter" || event.key === " ") && event.target.item && event.target.closest("#map")) open(event.target.item);
    else if (event.key === "Backspace") back();
    else if (event.key === "/") $("search").focus();
    else if (event.key === "t" || event.key === "T") theme();
    else if (["1", "2", "3"].includes(event.key)) { by(Object.keys(levels)[event.key - 1]); focusFirst(); }
    else return;
    event.preventDefault();
  });
  let timer;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 80); });

  $("generator").textContent = data.generator;
  data.images.forEach((one, at) => $("target").append(new Option(one.target, at)));
  $("targets").hidden = data.images.length < 2;
  show(0);
  document.documentElement.dataset.ready = "1";
})();
