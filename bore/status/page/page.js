"use strict";
// The page of a server or client: what /events sends, as text. Markup is never made of strings: names, addresses and
// messages come from strangers.
//
// One file, in the order of what it does: texts, tables, what they show, the tunnels, the rest, the stream, the reader.

(() => {
  const ROWS = 200; // rows of the tunnels that are shown at first, and more at each press of the button
  const REDRAW = 5000; // ms between two updates of durations
  const POLL = 2000; // ms between two questions for the visitors of the tunnel that is open
  const SILENCE = 40000; // ms: the server sends something every 15 s
  const HIDDEN = 30000; // ms until a page that nobody sees ends its stream
  const RETRY = [1000, 2000, 5000, 10000, 30000]; // ms

  const byId = (id) => document.getElementById(id);
  const parts = {
    "": {},
    tunnels: new Map(),
    sessions: new Map(),
    servers: new Map(),
    users: new Map(),
    workers: new Map(),
    forwards: new Map(),
    nodes: new Map(),
  };
  const view = {
    sort: null,
    down: false,
    words: [],
    rows: ROWS,
    open: null,
    offset: 0,
    rate: null,
    total: null,
    lines: new Map(),
    most: 1,
  };

  // Texts.

  const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  const collator = new Intl.Collator("en", { numeric: true });
  const integer = new Intl.NumberFormat("en");

  /** A text of a stranger: characters that are not seen, or change the direction, are written as escapes. */
  function clean(value) {
    return String(value ?? "").replace(UNSAFE, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  }

  function count(number, one, many = one + "s") {
    return `${integer.format(number)} ${number === 1 ? one : many}`;
  }

  function size(bytes) {
    let unit = 0;
    while (bytes >= 999.5 && unit < 5) {
      bytes /= 1000;
      unit++;
    }
    return (
      (unit && bytes < 99.95 ? bytes.toFixed(1) : Math.round(bytes)) + " " + ["B", "kB", "MB", "GB", "TB", "PB"][unit]
    );
  }

  function duration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const [days, hours, minutes] = [
      Math.floor(whole / 86400),
      Math.floor(whole / 3600) % 24,
      Math.floor(whole / 60) % 60,
    ];
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    return minutes ? `${minutes} min` : `${whole} s`;
  }

  const now = () => Date.now() + view.offset;
  const since = (time) => (time ? (now() - Date.parse(time)) / 1000 : NaN);
  const age = (time) => (time ? duration(since(time)) : "");

  /** A time of today, or a date and a time. */
  function timeText(time) {
    if (Number.isNaN(time.getTime())) return "";
    const recent = now() - time < 12 * 3600 * 1000;
    const clock = time.toLocaleTimeString("en-GB", recent ? {} : { hour: "2-digit", minute: "2-digit" });
    return recent ? clock : `${time.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock}`;
  }

  const milliseconds = (seconds) => (seconds == null ? "" : `${Math.max(1, Math.round(seconds * 1000))} ms`);
  const roundTrip = (seconds) => (seconds == null ? "" : `round trip ${milliseconds(seconds)}`);
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value != null) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  /** Set the text of a node, if it is another one: what does not change is not touched. */
  function write(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  // The traffic of the last hour.

  const NO_LINE = [];

  function spark(line) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 59 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", hour(line));
    const path = (name, d) => {
      const node = document.createElementNS(svg.namespaceURI, "path");
      node.setAttribute("class", name);
      node.setAttribute("d", d);
      svg.append(node);
    };
    path("base", "M0 20H59");
    const most = Math.max(...line, 1);
    if (sum(line)) {
      const points = line.map((bytes, i) => `${60 - line.length + i} ${(20 - (19 * bytes) / most).toFixed(1)}`);
      path("area", `M${60 - line.length} 20L${points.join("L")}V20Z`);
      path("line", `M${points.join("L")}`);
    }
    return svg;
  }

  function hour(line) {
    if (line === NO_LINE && view.lines.size >= view.most) return `less traffic than the ${view.most} busiest tunnels`;
    return sum(line)
      ? `${size(sum(line))} in the last hour, at most ${size(Math.max(...line))} a minute`
      : "no traffic in the last hour";
  }

  // Tables.

  /**
   * A table whose rows have keys, and change in place.
   *
   * A column has a title, and `show`: returns a text, or [text, text below it, tone]. `value` is what it is sorted by.
   */
  class Table {
    constructor(node, columns, onOpen = null) {
      Object.assign(this, { node, columns, onOpen, rows: new Map(), heads: new Map() });
      node.setAttribute("role", "table");
      const head = make("tr", { role: "row" });
      for (const column of columns) {
        const cell = make("th", { scope: "col", role: "columnheader", class: column.class, "data-column": column.key });
        cell.append(onOpen ? make("button", { type: "button" }, column.title) : column.title);
        head.append(cell);
        this.heads.set(column.key, cell);
      }
      this.body = make("tbody", { role: "rowgroup" });
      node.append(make("thead", { role: "rowgroup" }, head), this.body);
    }

    show(list) {
      const wanted = new Set(list.map(([key]) => key));
      for (const [key, row] of this.rows) {
        if (!wanted.has(key)) {
          row.node.remove();
          row.details?.remove();
          this.rows.delete(key);
        }
      }
      let next = this.body.firstChild;
      for (const [key, data] of list) {
        const row = this.rows.get(key) ?? this.add(key);
        row.cells.forEach((cell, i) => this.fill(cell, this.columns[i], key, data));
        for (const node of [row.node, row.details]) {
          if (!node) continue;
          if (node === next) next = next.nextSibling;
          else this.body.insertBefore(node, next);
        }
      }
    }

    add(key) {
      const node = make("tr", { role: "row" });
      const cells = this.columns.map((column, i) => {
        const attributes = {
          class: column.class,
          "data-label": column.label ?? column.title,
          "data-column": column.key,
        };
        const cell = i
          ? make("td", { role: "cell", ...attributes })
          : make("th", { role: "rowheader", scope: "row", ...attributes, "data-label": "" });
        node.append(cell);
        if (i || !this.onOpen) return { node: cell };
        const button = make("button", { type: "button", class: "open", "aria-expanded": "false" });
        button.addEventListener("click", () => this.onOpen(key));
        cell.append(button);
        return { node: button };
      });
      const row = { node, cells, details: null };
      this.rows.set(key, row);
      return row;
    }

    fill(cell, column, key, data) {
      if (column.spark) {
        const line = column.spark(key);
        if (cell.line === line) return;
        cell.line = line;
        cell.node.replaceChildren(spark(line));
        cell.node.title = hour(line);
        return;
      }
      const [text, below, tone] = [column.show(data, key)].flat();
      const shown = `${text}\n${below ?? ""}\n${tone ?? ""}`;
      if (cell.shown === shown) return;
      cell.shown = shown;
      const first = tone ? make("span", { class: "state", "data-tone": tone }, text) : make("bdi", {}, text);
      cell.node.replaceChildren(first, ...(below ? [make("bdi", { class: "sub" }, below)] : []));
    }
  }

  // What the tables show of a server, and of a client.

  const STATES = {
    up: ["up", "good"],
    away: ["away", "warn"],
    heldBack: ["held back", "warn"],
    refused: ["refused", "bad"],
    givenUp: ["given up", "bad"],
    connecting: ["connecting", "warn"],
    running: ["running", "good"],
    partly: ["partly up", "warn"],
    draining: ["draining", "warn"],
    forwarded: ["passed on", "good"],
    stopping: ["stopping", "warn"],
  };
  const stateOf = (state) => STATES[state] ?? [clean(state), "warn"];
  const isUp = (row) => row.state === "up" || row.state === "heldBack"; // it has its client, which is enough
  const URGENT = ["givenUp", "refused", "away", "heldBack", "connecting", "up", "forwarded"];

  function stateColumn(below) {
    return {
      key: "state",
      title: "State",
      class: "fixed",
      value: (row) => URGENT.indexOf(row.state),
      show: (row) => {
        const [text, tone] = stateOf(row.state);
        return [text, below(row), tone];
      },
    };
  }

  const fromVisitors = (bytes) => bytes.toClient ?? bytes.fromVisitors ?? 0;
  const lineOf = (key) => view.lines.get(key) ?? NO_LINE;

  function trafficColumns() {
    return [
      { key: "hour", title: "Last hour", class: "fixed", value: (row, key) => sum(lineOf(key)), spark: lineOf },
      {
        key: "in",
        title: "From visitors",
        class: "number",
        value: (row) => fromVisitors(row.bytes),
        show: (row) => size(fromVisitors(row.bytes)),
      },
      {
        key: "out",
        title: "To visitors",
        class: "number",
        value: (row) => row.bytes.toVisitors,
        show: (row) => size(row.bytes.toVisitors),
      },
      {
        key: "since",
        title: "Open for",
        class: "number",
        value: (row) => (row.state === "up" || program === SERVER ? since(row.since) : 0),
        show: (row) => (row.state === "up" || program === SERVER ? age(row.since) : "–"),
      },
    ];
  }

  function visitorsColumn(extra) {
    return {
      key: "visitors",
      title: "Visitors",
      class: "number",
      value: (row) => row.visitors.open,
      show: (row) => [
        integer.format(row.visitors.open),
        [`${integer.format(row.visitors.total)} in all`, extra(row.visitors)].filter(Boolean).join(", "),
      ],
    };
  }

  /** The nodes of a cluster that have a session of a tunnel. */
  function nodesText(row) {
    const own = parts[""].cluster?.node;
    return (row.nodes ?? []).map((name) => (name === own ? "here" : name)).join(", ");
  }

  // Only a node of a cluster has this column.
  const NODES_COLUMN = {
    key: "nodes",
    title: "Nodes",
    value: nodesText,
    show: (row) => clean(nodesText(row) || "none"),
  };

  const SERVER = {
    word: "server",
    columns: [
      {
        key: "address",
        title: "Address",
        value: (row) => String(row.address),
        show: (row) => [clean(row.address), row.worker == null ? "" : `worker ${clean(row.worker)}`],
      },
      { key: "who", title: "User", value: (row) => row.user || "", show: (row) => clean(row.user || "–") },
      {
        key: "from",
        title: "From",
        value: (row) => row.peer ?? row.network ?? "",
        show: (row) => [clean((row.peer ?? row.network) || "–"), roundTrip(parts.sessions.get(row.peer)?.roundTrip)],
      },
      stateColumn((row) => (row.state === "away" ? `for ${age(row.awaySince)}` : "")),
      visitorsColumn((visitors) => (visitors.waiting ? `${integer.format(visitors.waiting)} waiting` : "")),
      ...trafficColumns(),
    ],
    texts: (row) => [row.address, row.user, row.network, row.peer, stateOf(row.state)[0], row.worker && `worker ${row.worker}`, nodesText(row)],
    facts: (report) => [
      report.ports &&
        `public ports ${report.ports.from} to ${report.ports.to}` +
          (report.publicHost ? ` at ${clean(report.publicHost)}` : ""),
      ...(report.control ?? []).map((port) => `clients at ${clean(port.at)}${port.tls ? " with TLS" : ""}`),
      report.cluster && `node ${clean(report.cluster.node)}`,
      report.admission && clean(report.admission),
    ],
    nothing: "No tunnels yet. A client opens one with “bore local PORT --to SERVER”.",
  };

  const CLIENT = {
    word: "client",
    columns: [
      {
        key: "name",
        title: "Tunnel",
        value: (row) => row.name || row.local,
        show: (row) => clean(row.name || row.local),
      },
      {
        key: "local",
        title: "Local service",
        value: (row) => row.local,
        show: (row) => [
          clean(row.local),
          row.localState === "down" ? "does not answer" : "",
          row.localState === "down" ? "bad" : null,
        ],
      },
      {
        key: "public",
        title: "Public address",
        value: (row) => row.public ?? "",
        show: (row) => clean(row.public ?? "–"),
      },
      { key: "who", title: "Server", value: (row) => row.server ?? "", show: (row) => clean(row.server ?? "–") },
      stateColumn((row) =>
        row.state === "up" ? "" : [clean(row.why), `for ${age(row.since)}`].filter(Boolean).join(", "),
      ),
      visitorsColumn((visitors) => (visitors.unserved ? `${integer.format(visitors.unserved)} not served` : "")),
      ...trafficColumns(),
    ],
    texts: (row) => [row.name, row.local, row.public, row.server, stateOf(row.state)[0], row.why],
    facts: () => [],
    nothing: "No tunnels.",
  };

  const SERVERS = [
    { key: "server", title: "Server", show: (row) => clean(row.server) },
    {
      key: "state",
      title: "State",
      class: "fixed",
      show: (row) => {
        const [text, tone] = stateOf(row.state);
        return [
          text,
          row.state === "up"
            ? ""
            : `${clean(row.why)}${row.retryIn ? `, next attempt in ${duration(row.retryIn)}` : ""}`,
          tone,
        ];
      },
    },
    { key: "user", title: "User", show: (row) => clean(row.user || "–") },
    { key: "trust", title: "Encryption", show: (row) => (row.trust ? `TLS: ${clean(row.trust)}` : "none") },
    { key: "trip", title: "Round trip", class: "number", show: (row) => milliseconds(row.roundTrip) || "–" },
    {
      key: "lanes",
      title: "Lanes",
      class: "number",
      show: (row) => (row.lanes?.open ? `${row.lanes.busy} of ${row.lanes.open} busy` : "–"),
    },
    { key: "since", title: "Since", class: "number", show: (row) => age(row.since) || "–" },
  ];

  const ofLimit = (used, limit) => integer.format(used) + (limit ? ` of ${integer.format(limit)}` : "");
  const USERS = [
    { key: "name", title: "User", show: (row) => clean(row.name) || "shared secret" },
    { key: "sessions", title: "Sessions", class: "number", show: (row) => integer.format(row.sessions) },
    { key: "tunnels", title: "Tunnels", class: "number", show: (row) => ofLimit(row.tunnels, row.maxTunnels) },
    { key: "visitors", title: "Visitors", class: "number", show: (row) => ofLimit(row.visitors, row.maxVisitors) },
    {
      key: "expires",
      title: "Ends",
      class: "number",
      show: (row) => (row.expires ? clean(row.expires).slice(0, 10) : "–"),
    },
  ];

  const STATES_OF_WORKERS = {
    serving: "good",
    starting: "warn",
    retired: null,
    ending: null,
    hung: "bad",
  };
  const WORKERS = [
    { key: "worker", title: "Worker", show: (row) => clean(row.worker) },
    { key: "generation", title: "Generation", class: "number", show: (row) => clean(row.generation) },
    {
      key: "state",
      title: "State",
      class: "fixed",
      show: (row) =>
        row.answers
          ? [clean(row.state), "", STATES_OF_WORKERS[row.state]]
          : [clean(row.state), "does not answer", "bad"],
    },
    { key: "sessions", title: "Sessions", class: "number", show: (row) => integer.format(row.sessions) },
    { key: "tunnels", title: "Tunnels", class: "number", show: (row) => integer.format(row.tunnels) },
    { key: "visitors", title: "Visitors", class: "number", show: (row) => integer.format(row.visitors) },
    {
      key: "cpu",
      title: "CPU time",
      class: "number",
      show: (row) => (row.process ? duration(row.process.cpu) : "–"),
    },
    {
      key: "memory",
      title: "Memory",
      class: "number",
      show: (row) => (row.process ? size(row.process.memory) : "–"),
    },
    { key: "since", title: "For", class: "number", show: (row) => age(row.since) },
  ];

  const NODES = [
    { key: "name", title: "Node", show: (row) => clean(row.name) },
    {
      key: "state",
      title: "State",
      class: "fixed",
      show: (row) => {
        const [text, tone] = stateOf(row.state);
        return [text, "", tone];
      },
    },
    {
      key: "beat",
      title: "Last beat",
      class: "number",
      show: (row) => (row.beat ? `${duration(row.beat)} ago` : "just now"),
    },
    { key: "tunnels", title: "Tunnels", class: "number", show: (row) => integer.format(row.tunnels) },
    { key: "advertise", title: "Address", show: (row) => clean(row.advertise) },
    { key: "version", title: "Version", show: (row) => clean(row.version) },
  ];

  const VISITORS = [
    {
      key: "from",
      title: "From",
      show: (row) => [clean(row.from ?? "unknown"), row.state === "waiting" ? "waits for the client" : ""],
    },
    { key: "time", title: "For", class: "number", show: (row) => duration(row.seconds) },
    { key: "in", title: "Sent", class: "number", show: (row) => size(row.toClient ?? row.fromVisitor ?? 0) },
    { key: "out", title: "Received", class: "number", show: (row) => size(row.toVisitor ?? 0) },
  ];

  let program = null; // SERVER or CLIENT
  let tunnels = null;
  const servers = new Table(byId("servers"), SERVERS);
  const users = new Table(byId("users"), USERS);
  const workers = new Table(byId("workers"), WORKERS);
  const nodes = new Table(byId("nodes"), NODES);

  // The tunnels: filter, order, and the visitors of one.

  function begin(word) {
    program = word === "client" ? CLIENT : SERVER;
    if (parts[""].cluster) SERVER.columns.splice(3, 0, NODES_COLUMN);
    tunnels = new Table(byId("tunnels"), program.columns, toggle);
    view.sort = program.columns[0];
    for (const column of program.columns) {
      byId("sort").append(make("option", { value: column.key }, column.title));
      tunnels.heads
        .get(column.key)
        .firstChild.addEventListener("click", () =>
          sortBy(column, view.sort === column ? !view.down : Boolean(column.class?.includes("number") || column.spark)),
        );
    }
    byId("main").hidden = false;
  }

  function sortBy(column, down) {
    Object.assign(view, { sort: column, down, rows: ROWS });
    draw(true);
  }

  /** The tunnels, with those that a node of a cluster passes on: pairs of a key and a row. */
  const all = () => [...parts.tunnels, ...parts.forwards];

  let order = new Map(); // the places of the tunnels when they were drawn last

  /** The tunnels to show in their order. Rows stay where they are while the pointer or the focus is on one. */
  function chosen(again) {
    const matches = ([, row]) => {
      if (!view.words.length) return true;
      const text = program
        .texts(row)
        .map((each) => clean(each).toLowerCase())
        .join("\n");
      return view.words.every((word) => text.includes(word));
    };
    const found = all().filter(matches);
    const values = new Map(found.map(([key, row]) => [key, view.sort.value(row, key)]));
    const compare = ([a], [b]) => {
      const [x, y] = [values.get(a), values.get(b)];
      const result = typeof x === "number" ? (x || 0) - (y || 0) : collator.compare(x, y);
      return (view.down ? -result : result) || collator.compare(a, b);
    };
    const body = tunnels.body;
    const held =
      !again &&
      (body.contains(document.activeElement) || (matchMedia("(hover: hover)").matches && body.matches(":hover")));
    const place = ([key]) => order.get(key) ?? Infinity;
    found.sort(held ? (a, b) => (place(a) === place(b) ? compare(a, b) : place(a) - place(b)) : compare);
    order = new Map(found.map(([key], i) => [key, i]));
    return found;
  }

  function drawTunnels(again) {
    const found = chosen(again);
    const shown = found.slice(0, view.rows);
    if (view.open !== null && !shown.some(([key]) => key === view.open)) close();
    for (const [key, cell] of tunnels.heads) {
      if (key === view.sort.key) cell.setAttribute("aria-sort", view.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    byId("sort").value = view.sort.key;
    write(byId("direction"), view.down ? "Descending" : "Ascending");
    const whose = new Set(
      all()
        .map(([, row]) => (program === SERVER ? row.user : row.server))
        .filter(Boolean),
    );
    tunnels.node.classList.toggle("alike", whose.size < (program === SERVER ? 1 : 2));
    tunnels.node.hidden = !found.length;
    tunnels.show(shown);
    const total = parts.tunnels.size + parts.forwards.size;
    write(
      byId("count"),
      found.length === total
        ? total
          ? integer.format(total)
          : ""
        : `${integer.format(found.length)} of ${integer.format(total)}`,
    );
    byId("find").hidden = !total;
    byId("nothing").hidden = Boolean(found.length);
    write(byId("nothing"), total ? "No tunnel matches the filter." : program.nothing);
    const left = found.length - shown.length;
    byId("more").hidden = !left;
    write(byId("more"), `Show ${integer.format(Math.min(left, ROWS))} more of ${integer.format(left)}`);
    return found.length;
  }

  let inside = null; // the table of visitors that is open
  let timer = 0;

  function toggle(key) {
    const again = view.open === key;
    close();
    if (again) return;
    view.open = key;
    const row = tunnels.rows.get(key);
    const id = "visitors-of-tunnel";
    const caption = make("caption", {}, "Visitors …");
    const table = make("table", {}, caption);
    row.details = make(
      "tr",
      { class: "visitors", id, role: "row" },
      make("td", { colspan: String(program.columns.length), role: "cell" }, table),
    );
    row.cells[0].node.setAttribute("aria-expanded", "true");
    row.cells[0].node.setAttribute("aria-controls", id);
    row.node.after(row.details);
    inside = new Table(table, VISITORS);
    poll(key, caption);
  }

  function close() {
    clearTimeout(timer);
    const row = tunnels.rows.get(view.open);
    view.open = inside = null;
    if (!row) return;
    row.details?.remove();
    row.details = null;
    row.cells[0].node.setAttribute("aria-expanded", "false");
    row.cells[0].node.removeAttribute("aria-controls");
  }

  async function poll(key, caption) {
    const table = inside;
    let text;
    try {
      if (!document.hidden) {
        const answer = await fetch("tunnels/" + encodeURIComponent(key), {
          cache: "no-store",
          signal: AbortSignal.timeout(10000),
        });
        const found = await answer.json();
        if (inside !== table) return;
        text = answer.ok ? listed(found) : clean(found.error);
      }
    } catch {
      text = "The visitors cannot be read now.";
    }
    if (inside !== table) return;
    if (text) write(caption, text);
    timer = setTimeout(() => poll(key, caption), POLL);
  }

  function listed(tunnel) {
    const all = tunnel.visitors.open + (tunnel.visitors.waiting ?? 0);
    inside.show(tunnel.list.map((visitor, i) => [visitor.id || String(i), visitor]));
    inside.node.classList.toggle("empty", !tunnel.list.length);
    if (!tunnel.list.length) return "No visitors now.";
    return tunnel.list.length < all
      ? `The first ${tunnel.list.length} of ${count(all, "visitor")}`
      : count(tunnel.list.length, "visitor");
  }

  // The rest of the page.

  function drawHead(report) {
    const [text, tone] = stateOf(report.state);
    const pill = byId("state");
    write(pill, text);
    pill.dataset.tone = tone;
    pill.hidden = false;
    write(byId("heading"), `bore ${program.word}`);
    const facts = [
      ...program.facts(report),
      report.since && `running for ${age(report.since)}`,
      `txbore ${clean(report.version)}`,
      `process ${clean(report.pid)}`,
    ].filter(Boolean);
    const node = byId("facts");
    if (node.textContent !== facts.join("")) node.replaceChildren(...facts.map((fact) => make("span", {}, fact)));
  }

  function figures(report, rows) {
    const waiting = sum(rows.map((row) => row.visitors.waiting ?? 0));
    const away = rows.filter((row) => !isUp(row)).length;
    const totals = report.totals;
    const open = totals.open ?? sum(rows.map((row) => row.visitors.open));
    return [
      [
        "Tunnels",
        integer.format(rows.length),
        [
          rows.length && (away ? `${integer.format(away)} not up` : "all up"),
          program === SERVER && count(parts.sessions.size, "client"),
          parts.forwards.size && `${integer.format(parts.forwards.size)} passed on`,
        ]
          .filter(Boolean)
          .join(", "),
      ],
      [
        "Visitors",
        integer.format(open),
        `${integer.format(totals.visitors ?? 0)} in all` + (waiting ? `, ${integer.format(waiting)} waiting` : ""),
      ],
      [
        "Traffic now",
        view.rate === null ? "–" : `${size(view.rate)}/s`,
        `${size(fromVisitors(totals))} from visitors, ${size(totals.toVisitors ?? 0)} to them`,
      ],
    ];
  }

  const boxes = [];
  let chart = null;

  function drawFigures(report, rows) {
    figures(report, rows).forEach(([title, text, below], i) => {
      if (!boxes[i]) {
        boxes[i] = [make("dd"), make("dd")];
        byId("figures").append(make("div", {}, make("dt", {}, title), ...boxes[i]));
      }
      write(boxes[i][0], text);
      write(boxes[i][1], below);
    });
    if (!chart) {
      chart = { node: make("dd", { class: "chart" }), below: make("dd") };
      byId("figures").append(make("div", { class: "wide" }, make("dt", {}, "Last hour"), chart.node, chart.below));
    }
    const line = view.total ?? [];
    if (chart.line !== view.total || !chart.node.firstChild) {
      chart.line = view.total;
      chart.node.replaceChildren(spark(line));
      write(
        chart.below,
        line.length ? hour(line).replace(" in the last hour", "") : "the first sample comes after a minute",
      );
    }
  }

  const some = (names) =>
    names.slice(0, 3).map(clean).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : "");

  function notices(report, rows) {
    const found = [];
    const keys = [...parts.tunnels.keys()];
    const those = (test) => keys.filter((key) => test(parts.tunnels.get(key)));
    const about = (tone, test, text) => {
      const names = those(test);
      if (names.length)
        found.push([
          tone,
          `${names.length === 1 ? "A tunnel" : count(names.length, "tunnel")} ${text(names.length)}: ${some(names)}`,
        ]);
    };
    if (report.state === "draining" || report.state === "stopping")
      found.push(["warn", `The ${program.word} is ${report.state}.`]);
    for (const row of parts.servers.values()) {
      if (row.state === "connecting") found.push(["warn", `Connecting to ${clean(row.server)}`]);
      else if (row.state !== "up")
        found.push(["bad", `No session with ${clean(row.server)}${row.why ? `: ${clean(row.why)}` : ""}`]);
    }
    about(
      "bad",
      (row) => row.state === "refused" || row.state === "givenUp",
      (n) => (n === 1 ? "is refused or given up" : "are refused or given up"),
    );
    about(
      "bad",
      (row) => row.localState === "down",
      (n) => (n === 1 ? "has a local service that does not answer" : "have local services that do not answer"),
    );
    if (program === SERVER)
      about(
        "warn",
        (row) => row.state === "away",
        (n) => (n === 1 ? "has lost its client" : "have lost their clients"),
      );
    about(
      "warn",
      (row) => row.state === "heldBack",
      (n) => (n === 1 ? "has more visitors than its client takes" : "have more visitors than their clients take"),
    );
    const silent = [...parts.workers.values()].filter((row) => !row.answers).map((row) => row.worker);
    if (silent.length)
      found.push(["bad", `${silent.length === 1 ? "A worker does" : "Workers do"} not answer: ${some(silent)}`]);
    if (report.cluster) clusterNotices(report.cluster, found);
    for (const each of report.limits ?? []) {
      if (each.limit && each.used >= 0.8 * each.limit)
        found.push(["warn", `Nearly reached: ${limitName(each)}, ${ofLimit(each.used, each.limit)}`]);
    }
    return found.slice(0, 8);
  }

  function clusterNotices(cluster, found) {
    if (cluster.state === "joining") found.push(["warn", "This node has not joined its cluster yet."]);
    if (cluster.state === "holding") found.push(["bad", "This node cannot use the engine: new visitors wait."]);
    else if (cluster.engineAway != null) found.push(["bad", "The engine does not answer: new tunnels are refused."]);
    if (cluster.recovering) found.push(["warn", "The engine is new, or has lost what it knew: no new tunnels yet."]);
    const away = [...parts.nodes.values()].filter((row) => row.state === "away").map((row) => row.name);
    if (away.length) found.push(["warn", `${away.length === 1 ? "A node is" : "Nodes are"} away: ${some(away)}`]);
    const left = [...parts.forwards].filter(([, row]) => row.state === "away").map(([key]) => key);
    if (left.length)
      found.push([
        "warn",
        `${left.length === 1 ? "A tunnel has" : `${count(left.length, "tunnel")} have`} no node now: ${some(left)}`,
      ]);
  }

  const STATES_OF_NODE = { acting: "it serves new visitors", holding: "new visitors wait", joining: "it has not joined yet" };

  function drawCluster(cluster) {
    byId("cluster-section").hidden = !cluster;
    if (!cluster) return;
    const facts = [
      `this node is ${clean(cluster.node)}`,
      STATES_OF_NODE[cluster.state] ?? clean(cluster.state),
      cluster.engineAway != null
        ? `the engine has not answered for ${duration(cluster.engineAway)}`
        : cluster.state !== "joining" && "the engine answers",
      cluster.recovering && `no new tunnels for up to ${duration(cluster.recoversIn)}`,
    ].filter(Boolean);
    list(byId("cluster"), facts, (fact) => make("span", {}, fact));
    nodes.show([...parts.nodes].sort(([a], [b]) => collator.compare(a, b)));
    byId("nodes").hidden = !parts.nodes.size;
  }

  const limitName = (each) => clean(each.what) + (each.whose ? ` (${clean(each.whose)})` : "");

  /** Replace the items of a list, if they are others than before. */
  function list(node, items, item) {
    const shown = JSON.stringify(items);
    if (node.shown === shown) return;
    node.shown = shown;
    node.replaceChildren(...items.map(item));
  }

  function drawRest(report) {
    list(
      byId("limits"),
      [...(report.limits ?? [])]
        .filter((each) => each.limit)
        .sort((a, b) => b.used / b.limit - a.used / a.limit)
        .slice(0, 10),
      (each) => {
        const meter = make("meter", {
          max: each.limit,
          value: each.used,
          high: 0.8 * each.limit,
          optimum: 0,
          "aria-label": limitName(each),
        });
        return make(
          "li",
          {},
          make("bdi", {}, limitName(each)),
          make("span", {}, ofLimit(each.used, each.limit)),
          meter,
        );
      },
    );
    const recent = [...(report.recent ?? [])].reverse();
    list(byId("events"), recent, (event) => {
      const at = new Date(event.at);
      const time = make("time", { datetime: clean(event.at), title: clean(event.at) }, timeText(at));
      return make("li", {}, time, make("bdi", {}, clean(event.text || event.event)));
    });
    byId("events-section").hidden = !recent.length;
    users.show([...parts.users].sort(([a], [b]) => collator.compare(a, b)).slice(0, ROWS));
    servers.show([...parts.servers]);
    workers.show([...parts.workers].sort(([a], [b]) => a - b));
    drawCluster(report.cluster);
    byId("workers-section").hidden = !parts.workers.size;
    byId("users-section").hidden = !parts.users.size;
    byId("servers-section").hidden = !parts.servers.size;
    byId("limits-section").hidden = !byId("limits").children.length;
    byId("columns").classList.toggle("single", byId("users-section").hidden && byId("limits-section").hidden);
  }

  function draw(again = false) {
    if (!program) return 0;
    const report = parts[""];
    const rows = [...parts.tunnels.values()];
    drawHead(report);
    drawFigures(report, rows);
    list(byId("notices"), notices(report, rows), ([tone, text]) => make("li", { "data-tone": tone }, text));
    const found = drawTunnels(again);
    drawRest(report);
    const down = rows.filter((row) => !isUp(row)).length;
    document.title = `${down ? `${down} not up · ` : ""}${count(rows.length, "tunnel")} · bore ${program.word}`;
    return found;
  }

  let frame = 0;
  function drawSoon() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  }

  // The stream.

  let stream = null;
  let attempts = 0;
  let watch = 0;
  let retry = 0;
  let before = null; // the amount of data at the last change
  let measured = 0; // when that was

  function connection(text, tone) {
    const node = byId("connection");
    write(node, text);
    node.dataset.tone = tone;
    document.documentElement.classList.toggle("lost", tone === "bad");
  }

  function received(data, kind) {
    attempts = 0;
    view.offset = data.now * 1000 - Date.now();
    connection("Live", "good");
    write(byId("updated"), `Last update ${new Date().toLocaleTimeString("en-GB")} · `);
    clearTimeout(watch);
    watch = setTimeout(lost, SILENCE);
    if (kind !== "traffic") measure(data.seconds);
    drawSoon();
  }

  function measure(seconds) {
    const totals = parts[""].totals;
    if (!totals) return;
    const bytes = fromVisitors(totals) + (totals.toVisitors ?? 0);
    if (before !== null && seconds) view.rate = Math.max(0, bytes - before) / seconds;
    before = bytes;
    measured = Date.now();
  }

  function take(changes) {
    for (const [part, { set, gone }] of Object.entries(changes)) {
      if (!part) {
        Object.assign(parts[""], set);
        continue;
      }
      const rows = parts[part];
      for (const key of gone ?? []) rows.delete(key);
      for (const [key, fields] of Object.entries(set)) rows.set(key, Object.assign(rows.get(key) ?? {}, fields));
    }
  }

  function snapshot(data) {
    const joined = Boolean(data.parts[""].cluster);
    if (program && joined !== Boolean(parts[""].cluster)) location.reload(); // it has other columns
    parts[""] = data.parts[""];
    for (const [part, rows] of Object.entries(data.parts)) if (part) parts[part] = new Map(Object.entries(rows));
    before = null;
    if (!program) begin(parts[""].program);
  }

  function connect() {
    clearTimeout(retry);
    disconnect();
    stream = new EventSource("events");
    const on = (name, take) =>
      stream.addEventListener(name, (event) => {
        const data = JSON.parse(event.data);
        take(data);
        received(data, name);
      });
    on("snapshot", snapshot);
    on("change", (data) => take(data.parts));
    on("beat", () => {});
    on("traffic", (data) => {
      view.total = data.total;
      view.most = data.most;
      view.lines = new Map(Object.entries(data.tunnels));
    });
    stream.onerror = lost;
    watch = setTimeout(lost, SILENCE);
  }

  function disconnect() {
    clearTimeout(watch);
    stream?.close();
    stream = null;
  }

  function lost() {
    disconnect();
    connection("Connection lost, trying again …", "bad");
    clearTimeout(retry);
    retry = setTimeout(connect, RETRY[Math.min(attempts++, RETRY.length - 1)]);
  }

  // What the reader does.

  let typed = 0;
  byId("find").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", () => {
    view.words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    view.rows = ROWS;
    const found = draw(true);
    clearTimeout(typed);
    typed = setTimeout(() => write(byId("found"), view.words.length ? `${count(found, "tunnel")} found` : ""), 700);
  });
  byId("sort").addEventListener("change", () =>
    sortBy(
      program.columns.find((column) => column.key === byId("sort").value),
      view.down,
    ),
  );
  byId("direction").addEventListener("click", () => sortBy(view.sort, !view.down));
  byId("more").addEventListener("click", () => {
    const last = tunnels.body.lastElementChild;
    view.rows += ROWS;
    draw();
    last?.nextElementSibling?.querySelector("button")?.focus({ preventScroll: true });
  });

  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(() => {
        disconnect();
        clearTimeout(retry);
      }, HIDDEN);
    } else if (!stream) {
      connect();
    }
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => event.persisted && connect());
  setInterval(() => {
    if (document.hidden) return;
    if (stream && Date.now() - measured > 2500) view.rate = 0;
    draw();
  }, REDRAW);
  connect();
})();
