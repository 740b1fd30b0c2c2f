#!/usr/bin/env node
/*
 * Publishes what is appended to a file, a message a line, and misses nothing: neither over a restart of the server nor over its own. For Node 18 or later.
 *
 *	node publisher.mjs FILE TOPIC [http://127.0.0.1:8080]
 *
 * The server: janus -o data=/var/lib/janus -o 'history=TOPIC: 100000 messages'
 *
 * As publisher.py does it, with the same FILE.state, which has more words on what this promises: each line goes on being sent, with the same Idempotency-Key,
 * until it is answered, and how far the file is published is written behind the answer. So each is published once, if a repeat comes within `once_time`.
 */
import {open, readFile, rename} from "node:fs/promises";
import {randomUUID} from "node:crypto";
import {setTimeout as sleep} from "node:timers/promises";

const TIMEOUT = 10000;          // milliseconds that an answer may take, before the line is sent again
const DELAY = [100, 5000];      // before it is, at first and at most

const [path, topic, server = "http://127.0.0.1:8080"] = process.argv.slice(2);
if (!topic) {
	console.error("publisher.mjs FILE TOPIC [http://127.0.0.1:8080]");
	process.exit(2);
}

/* All of it or nothing is written, wherever this is interrupted. */
async function save(state) {
	const file = await open(`${path}.state.new`, "w");
	await file.writeFile(JSON.stringify(state));
	await file.sync();
	await file.close();
	await rename(`${path}.state.new`, `${path}.state`);
}

async function load() {
	try {
		return JSON.parse(await readFile(`${path}.state`, "utf8"));
	} catch (error) {
		if (error.code !== "ENOENT")
			throw error;
		const state = {name: randomUUID(), published: 0};
		await save(state);      // before anything is sent: keys begin with the name
		return state;
	}
}

async function publish(key, body) {
	for (let delay = DELAY[0];; delay = Math.min(2 * delay, DELAY[1])) {
		let answer, said;
		try {
			answer = await fetch(new URL(`/pub?topic=${encodeURIComponent(topic)}`, server), {method: "POST", body,
				headers: {"Idempotency-Key": key, "Content-Type": "text/plain"}, signal: AbortSignal.timeout(TIMEOUT)});
			said = await answer.text();
		} catch (error) {       // it may be published, or not: so the same once more
			answer = undefined;
			said = error.cause?.message ?? error.message;
		}
		if (answer?.ok) {
			if (JSON.parse(said).id === null)
				throw new Error("nobody subscribes this topic, and the server's `history` does not keep it: the message is lost");
			return;
		}
		if (answer && answer.status < 500 && answer.status !== 408 && answer.status !== 429)
			throw new Error(`refused with ${answer.status}: ${said.trim()}`);        // it would be again
		console.error(`not now: ${said.trim()}`);
		await sleep(1000 * answer?.headers.get("retry-after") || delay * (0.5 + Math.random()));
	}
}

/* The file's lines behind a position, and where each ends; for ever. */
async function* follow(position) {
	const file = await open(path), chunk = Buffer.alloc(65536);
	for (let rest = Buffer.alloc(0), read = position;;) {
		const {bytesRead} = await file.read(chunk, 0, chunk.length, read);
		read += bytesRead;
		rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
		for (let end; (end = rest.indexOf(10)) >= 0; rest = rest.subarray(end + 1)) {
			position += end + 1;
			yield [rest.subarray(0, end), position];
		}
		if (!bytesRead)
			await sleep(100);       // no whole line yet
	}
}

const state = await load();
for await (const [line, end] of follow(state.published)) {
	if (line.length)                // an empty line is no message
		await publish(`${state.name}-${end}`, line);
	state.published = end;
	await save(state);
}
