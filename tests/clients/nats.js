// A client of npm's `nats`: node nats.js URL SUBJECT... subscribes these, says so, and writes a JSON line for each message; each line of standard input, {"subject", "data", "headers"}, is
// published.
"use strict";
const readline = require("readline");
const { connect, headers } = require("nats");

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const fields = (of) => Object.fromEntries([...(of || [])].map(([name, values]) => [name, values.join()]));

async function main() {
	const client = await connect({ servers: process.argv[2] });

	for (const subject of process.argv.slice(3))
		client.subscribe(subject, {
			callback: (error, m) => say(error ? { error: error.message } : { subject: m.subject, data: m.string(), headers: fields(m.headers) }),
		});
	await client.flush();
	say({ subscribed: process.argv.slice(3) });
	for await (const line of readline.createInterface({ input: process.stdin })) {
		const { subject, data, headers: given } = JSON.parse(line);
		const h = headers();

		for (const [name, value] of Object.entries(given || {}))
			h.set(name, value);
		client.publish(subject, data, given ? { headers: h } : {});
	}
	await client.drain();
}

main().catch((error) => {
	say({ error: error.message });
	process.exit(1);
});
