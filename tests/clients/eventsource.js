// An EventSource of npm's `eventsource`: node eventsource.js URL [EVENT...]. Writes a JSON line for all that happens.
"use strict";
const { EventSource } = require("eventsource");

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const source = new EventSource(process.argv[2]);

source.onopen = () => say({ open: true });
source.onerror = (error) => say({ error: error.code === undefined ? null : error.code, state: source.readyState });
for (const type of ["message", ...process.argv.slice(3)])
	source.addEventListener(type, (event) => say({ event: event.type, data: event.data, id: event.lastEventId, origin: event.origin }));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
