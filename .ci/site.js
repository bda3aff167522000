// The website's own behaviour: search, and code that is moved by keyboard only where there is more of it than shows
(() => {
  "use strict";
  const here = (document.querySelector('meta[name="smalldocs:offset"]') || {content: "./"}).content;

  // ---- a block is a stop of the Tab key where it scrolls, and is none where it doesn't
  const blocks = () => document.querySelectorAll("pre, figure, .sd-table, .cell-output-display, .math.display, main [style*=overflow]");
  const scrolls = (b) => b.scrollWidth > b.clientWidth || b.scrollHeight > b.clientHeight;
  const stops = () => {
    const found = [...blocks()].map((b) => [b, scrolls(b)]);   // first read all, then write: one layout
    found.forEach(([b, s]) => { if (s) b.tabIndex = 0; else b.removeAttribute("tabindex"); });
  };
  let waiting = 0;
  const soon = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(stops); };
  window.addEventListener("load", stops);
  window.addEventListener("resize", soon);
  document.addEventListener("toggle", soon, true);   // a folded source is opened

  // ---- search: the same few lines as `ask` of .ci/seek.py, which made the index
  let loading = null;
  const load = () => loading = loading || new Promise((done, failed) => {
    const s = document.createElement("script");
    s.src = here + "search.js";
    s.onload = () => { window.siteIndex.no = new Set(window.siteIndex.stop); done(window.siteIndex); };
    s.onerror = failed;
    document.head.append(s);
  });
  const twice = new Set(["ll", "nn", "pp", "tt", "mm", "rr", "gg"]);
  const endings = [["ization", "iz"], ["isation", "iz"], ["ation", "at"], ["ing", ""], ["ed", ""], ["er", ""]];
  const stem = (w) => {
    if (w.length > 4 && w.endsWith("ies")) w = w.slice(0, -3) + "y";
    else if (w.length > 3 && w.endsWith("s") && !/(ss|us|is)$/.test(w)) w = w.slice(0, -1);
    for (const [end, to] of endings) if (w.length > end.length + 3 && w.endsWith(end)) {
      w = w.slice(0, -end.length) + to;
      if (twice.has(w.slice(-2))) w = w.slice(0, -1);
    }
    if (w.length > 4 && w.endsWith("e")) w = w.slice(0, -1);
    return w.length > 5 && w.endsWith("is") ? w.slice(0, -1) + "z" : w;
  };
  const words = (s, no) => (s.toLowerCase().match(/[a-z0-9_]+/g) || []).flatMap((w) =>
    [...new Set([w.replace(/^_+|_+$/g, ""), ...w.split("_").filter(Boolean)])].filter((o) => o.length > 1 && !no.has(o)));
  const has = (o, k) => Object.prototype.hasOwnProperty.call(o, k);
  const ask = (index, question, n = 8) => {
    const asked = new Map(), best = new Map(), part = new Map(), lead = new Map();
    for (const w of words(question, index.no).map(stem)) {
      asked.set(w, 1);
      if (has(index.also, w)) for (const o of index.also[w]) if (!asked.has(o)) asked.set(o, OTHER);
    }
    const said = new Set(question.toLowerCase().match(/[a-z0-9]+/g));
    for (const [pair, more] of index.pairs)
      if (pair.every((w) => said.has(w))) for (const o of more) if (!asked.has(o)) asked.set(o, OTHER);
    for (const [w, share] of asked) {
      let found = has(index.words, w) ? index.words[w] : null;
      const begun = ([k]) => k.startsWith(w) || k.length > 3 && w.startsWith(k);
      if (!found && share === 1) found = Object.entries(index.words).filter(begun).flatMap(([, l]) => l);
      const top = new Map();
      for (let i = 0; i < (found || []).length; i += 2) {
        const p = found[i], weight = share * found[i + 1], page = index.parts[p][0];
        part.set(p, (part.get(p) || 0) + weight);
        top.set(page, Math.max(top.get(page) || 0, weight));
      }
      for (const [page, weight] of top) best.set(page, (best.get(page) || 0) + WHOLE * weight);
    }
    const own = new Set(words(question, index.no).map(stem));
    for (const [p, sum] of part) {
      const [page, anchor, heading] = index.parts[p];
      const head = new Set(words(heading || (anchor ? "" : index.pages[page][1]), index.no).map(stem));
      const both = [...own].filter((w) => head.has(w)).length, alike = both / (own.size + head.size - both);
      const s = sum * (1 + NAMED * alike ** 2);
      part.set(p, s);
      if (!lead.has(page) || s > part.get(lead.get(page))) lead.set(page, p);
    }
    const worth = (page) => best.get(page) + part.get(lead.get(page));
    return [...lead.keys()].sort((a, b) => worth(b) - worth(a) || a - b).slice(0, n)
      .map((page) => [index.pages[page], index.parts[lead.get(page)]]);
  };
  const WHOLE = .5, OTHER = .8, NAMED = 2;
  window.askSite = async (question) => ask(await load(), question);   // for a test, and for the curious

  const make = (tag, kind, text) => Object.assign(document.createElement(tag), {className: kind, textContent: text});
  document.querySelectorAll(".site-search").forEach((box) => {
    const input = box.querySelector("input"), list = box.querySelector(".smalldocs-search-results");
    const hide = () => list.classList.remove("show");
    const show = (...items) => { list.replaceChildren(...items); list.classList.add("show"); };
    const result = ([[href, title], [, anchor, heading, text]]) => {
      const a = make("a", "search-result", "");
      a.href = here + href + (anchor ? "#" + anchor : "");
      a.append(make("div", "search-result-title", title));
      if (heading) a.append(make("div", "search-result-section", heading));
      a.append(make("div", "search-result-text", text));
      return a;
    };
    let latest = 0;
    const run = async () => {
      const mine = ++latest, q = input.value.trim();
      if (q.length < 2) return hide();
      let hits = [];
      try { hits = ask(await load(), q); }
      catch (e) { return show(make("div", "search-none", "The index of the search could not be loaded")); }
      if (mine === latest) show(...(hits.length ? hits.map(result) : [make("div", "search-none", "No page has these words")]));
    };
    const links = () => [...list.querySelectorAll("a")];
    input.addEventListener("focus", () => { load().catch(() => {}); if (input.value.trim().length > 1) run(); });
    input.addEventListener("input", run);
    box.addEventListener("keydown", (e) => {
      const all = links(), at = all.indexOf(document.activeElement);
      if (e.key === "Escape") { hide(); input.focus(); }
      else if (e.key === "ArrowDown" && all.length) { e.preventDefault(); all[Math.min(at + 1, all.length - 1)].focus(); }
      else if (e.key === "ArrowUp" && all.length) { e.preventDefault(); (at > 0 ? all[at - 1] : input).focus(); }
      else if (e.key === "Enter" && document.activeElement === input && all.length) { e.preventDefault(); all[0].click(); }
    });
    document.addEventListener("click", (e) => { if (!box.contains(e.target)) hide(); });
  });
})();
