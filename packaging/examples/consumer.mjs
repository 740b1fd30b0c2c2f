#!/usr/bin/env node
/*
 * Appends every message of a topic to a file, a line of JSON each, and misses none: neither over a restart of the server nor over its own. For Node 18 or later.
 *
 *	node consumer.mjs FILE TOPIC [http://127.0.0.1:8080]
 *
 * The server: janus -o data=/var/lib/janus -o 'history=TOPIC: 100000 messages'
 *
 * It reads a stream of server-sent events. When that ends, or nothing has come for longer than the server's `heartbeat` allows, it connects again with
 * Last-Event-ID, the position of the last message that it had, as a browser's EventSource does; and it keeps that position in the file itself: it is the id of
 * the last line. A line that is not whole, as this program died while writing it, is cut off, and comes again. So each message is in the file once. Anything else
 * that is done for a message, before its line is written, is done at least once.
 *
 * Nothing is missed as long as the server still has it: `history` must keep more than comes while this program is away. If something is gone the server says so
 * in `Janus-Recovered`, and so does this program.
 */
import {open} from "node:fs/promises";
import {setTimeout as sleep} from "node:timers/promises";

const SILENCE = 40000;          // milliseconds without a word, after which the connection is broken: more than twice `heartbeat`
const DELAY = [100, 5000];      // before it connects again, at first and at most

const [path, topic, server = "http://127.0.0.1:8080"] = process.argv.slice(2);
if (!topic) {
	console.error("consumer.mjs FILE TOPIC [http://127.0.0.1:8080]");
	process.exit(2);
}

/* The file, cut behind its last whole line, and that line's id. */
async function begin() {
	const file = await open(path, "a+");
	const text = await file.readFile();
	const end = text.lastIndexOf(10) + 1;
	await file.truncate(end);
	const last = text.subarray(0, end).toString().trimEnd().split("\n").pop();
	return {file, position: last ? JSON.parse(last).id : undefined};
}

/* A stream's events, as objects of their fields. */
async function* events(body, alive) {
	const decoder = new TextDecoder();
	let rest = "";
	for await (const chunk of body) {
		alive();
		const parts = (rest + decoder.decode(chunk, {stream: true})).split("\n\n");
		rest = parts.pop();
		for (const part of parts) {
			const event = {data: []};
			for (const line of part.split("\n")) {
				const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
				if (name === "data")
					event.data.push(value);
				else
					event[name] = value;
			}
			yield event;
		}
	}
}

const {file, position: found} = await begin();
let position = found;

/* A disk that is full ends this program: what was written of the line is cut off at its next start. */
async function write(line) {
	try {
		await file.appendFile(line);
	} catch (error) {
		throw Object.assign(error, {final: true});
	}
}

/* One connection, to its end. */
async function read() {
	const over = new AbortController();
	let timer;
	const alive = () => {
		clearTimeout(timer);
		timer = setTimeout(() => over.abort(), SILENCE);
	};
	alive();
	try {
		// At the very first: all that is kept, up to 1000 messages.
		const query = new URLSearchParams({topic, envelope: "json", ...(position ? {} : {last: 1000})});
		const answer = await fetch(new URL(`/sub?${query}`, server), {signal: over.signal,
			headers: {Accept: "text/event-stream", ...(position ? {"Last-Event-ID": position} : {})}});
		if (!answer.ok) {
			const refused = new Error(`refused with ${answer.status}: ${(await answer.text()).trim()}`);
			refused.final = answer.status < 500 && answer.status !== 408 && answer.status !== 429;
			throw refused;
		}
		const recovered = answer.headers.get("janus-recovered");
		if (recovered?.startsWith("false"))
			console.error(`messages are missing here: ${recovered}`);
		for await (const event of events(answer.body, alive)) {
			if (event.event === "missed" && event.id === undefined)
				console.error(`messages are missing here, as this program reads too slowly: ${event.data}`);
			else if (event.data.length)
				await write(event.data.join("\n") + "\n");      // (JSON of one line)
			position = event.id ?? position;        // also of the stream's first words, which have no data
		}
	} finally {
		clearTimeout(timer);
	}
}

for (let delay = DELAY[0];; delay = Math.min(2 * delay, DELAY[1])) {
	const before = position;
	try {
		await read();
	} catch (error) {
		if (error.final)
			throw error;
		console.error(`not now: ${error.cause?.message ?? error.message}`);
	}
	if (position !== before)
		delay = DELAY[0];
	await sleep(delay * (0.5 + Math.random()));
}
