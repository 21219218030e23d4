// The table of all jobs: filter, sort, and draw the rows of one page. No library, so that it works without a network.
"use strict";

const PAGE = 100;

function build(box) {
  const make = (name, text) => Object.assign(document.createElement(name), text === undefined ? {} : { textContent: text });
  const selects = [...box.querySelectorAll("select[data-filter]")];
  const words = box.querySelector("[data-words]");
  const head = box.querySelector("thead"), body = box.querySelector("tbody");
  const count = box.querySelector("output"), pages = box.querySelector(".pages");
  const texts = new Map();
  let data, at, sorted = { column: -1, down: false }, page = 0;

  function shown(value, kind) {
    if (value === null) return "–";
    if (kind === "percent") {
      const percent = 100 * value;
      return ((percent > 0 && percent < 1) || (percent > 99 && percent < 100) ? percent.toFixed(1) : Math.round(percent)) + " %";
    }
    return kind === "fixed" ? value.toFixed(3) : String(value);
  }

  function cell(value, kind) {
    const td = make("td");
    td.className = kind;
    if (kind === "job") {
      const link = make("a", value.slice(0, 8));
      link.href = box.dataset.job.replace("JOB", value);
      td.append(link);
    } else if (kind === "label" && value !== null) {
      const swatch = make("span");
      swatch.className = "swatch";
      swatch.style.setProperty("--c", data.colours[value]);
      td.append(swatch, value);
    } else if (kind === "state") {
      const tag = make("span", value);
      tag.className = "state is-" + value;
      td.append(tag);
    } else {
      td.textContent = shown(value, kind);
    }
    return td;
  }

  // What is searched is what can be read, and the whole id.
  function cells(row) {
    if (!texts.has(row)) {
      texts.set(row, row.map((value, i) => value === null ? "" : shown(value, data.columns[i].kind).toLowerCase()));
    }
    return texts.get(row);
  }

  function matching() {
    const wanted = selects.filter((one) => one.value).map((one) => [at[one.dataset.filter], one.value]);
    const parts = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = data.rows.filter((row) =>
      wanted.every(([column, value]) => row[column] === value) &&
      parts.every((part) => cells(row).some((text) => text.includes(part))));
    if (sorted.column >= 0) {
      const sign = sorted.down ? -1 : 1, column = sorted.column;
      // Jobs without a value come last whichever way; sort() is stable, so equal ones keep the order of the parameters.
      rows.sort((a, b) => {
        const one = a[column], other = b[column];
        if (one === null || other === null) return (one === null) - (other === null);
        return one < other ? -sign : one > other ? sign : 0;
      });
    }
    return rows;
  }

  function draw() {
    const rows = matching(), last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
    page = Math.min(page, last);
    body.replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const tr = make("tr");
      tr.append(...row.map((value, i) => cell(value, data.columns[i].kind)));
      return tr;
    }));
    count.textContent = rows.length === data.rows.length ? `${rows.length} jobs` : `${rows.length} of ${data.rows.length} jobs`;
    pages.replaceChildren();
    if (last > 0) {
      for (const [text, to] of [["‹ back", page - 1], [`page ${page + 1} of ${last + 1}`, null], ["next ›", page + 1]]) {
        const button = make(to === null ? "span" : "button", text);
        if (to !== null) {
          button.disabled = to < 0 || to > last;
          button.addEventListener("click", () => { page = to; draw(); });
        }
        pages.append(button);
      }
    }
    head.querySelectorAll("th").forEach((th, i) => th.setAttribute("aria-sort",
      i !== sorted.column ? "none" : sorted.down ? "descending" : "ascending"));
  }

  // The address keeps the filter, so that "back" from a job finds it again, and the summary can link to it.
  function remember() {
    const chosen = new URLSearchParams(selects.filter((one) => one.value).map((one) => [one.dataset.filter, one.value]));
    history.replaceState(null, "", "#" + chosen);
  }

  function recall() {
    const chosen = new URLSearchParams(location.hash.slice(1));
    for (const one of selects) one.value = chosen.get(one.dataset.filter) || "";
    page = 0;
    draw();
  }

  function changed() {
    page = 0;
    remember();
    draw();
  }

  function start(found) {
    data = found;
    at = Object.fromEntries(data.columns.map((column, i) => [column.key, i]));
    for (const one of selects.filter((select) => select.options.length === 1)) {
      const counts = new Map();
      for (const row of data.rows) {
        const value = row[at[one.dataset.filter]];
        if (value !== null) counts.set(value, (counts.get(value) || 0) + 1);
      }
      for (const [value, n] of [...counts].sort()) one.append(Object.assign(make("option", `${value} (${n})`), { value }));
    }
    const tr = make("tr");
    data.columns.forEach((column, i) => {
      const th = make("th"), button = make("button", column.heading);
      th.className = column.kind;
      button.addEventListener("click", () => {
        sorted = { column: i, down: sorted.column === i && !sorted.down };
        page = 0;
        draw();
      });
      th.append(button);
      tr.append(th);
    });
    head.replaceChildren(tr);
    for (const one of selects) one.addEventListener("change", changed);
    words.addEventListener("input", changed);
    window.addEventListener("hashchange", () => {
      if (!location.hash.includes("=")) return;  // a card of the page, not a filter
      recall();
      box.scrollIntoView({ behavior: "smooth" });
    });
    recall();
  }

  fetch(box.dataset.source).then((answer) => {
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  }).then(start).catch((error) => { count.textContent = `The table could not be loaded (${error.message}).`; });
}

document.querySelectorAll(".jobtable").forEach(build);
