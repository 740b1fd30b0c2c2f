// A WebSocket of npm's `ws`: node ws.js URL [HEADERS]. Writes a JSON line for all that happens, and does what JSON lines on its input say:
// {"send": TEXT}, {"binary": BASE64}, {"parts": [TEXT...]}, {"ping": TEXT}, {"close": [CODE, REASON]}.
"use strict";
const WebSocket = require("ws");
const readline = require("readline");

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const socket = new WebSocket(process.argv[2], { headers: JSON.parse(process.argv[3] || "{}") });

socket.on("open", () => say({ open: socket.protocol, extensions: socket.extensions }));
socket.on("message", (data, binary) => say(binary ? { binary: data.toString("base64") } : { text: data.toString() }));
socket.on("ping", (data) => say({ ping: data.toString("base64") }));
socket.on("pong", (data) => say({ pong: data.toString() }));
socket.on("unexpected-response", (request, response) => {
	let body = "";
	response.on("data", (data) => { body += data; });
	response.on("end", () => { say({ refused: response.statusCode, body }); process.exit(0); });
});
socket.on("error", (error) => say({ error: error.message }));
socket.on("close", (code, reason) => { say({ close: code, reason: reason.toString() }); process.exit(0); });

readline.createInterface({ input: process.stdin }).on("line", (line) => {
	const order = JSON.parse(line);
	if ("send" in order)
		socket.send(order.send);
	if ("binary" in order)
		socket.send(Buffer.from(order.binary, "base64"));
	if ("parts" in order)
		order.parts.forEach((part, i) => socket.send(part, { fin: i === order.parts.length - 1 }));
	if ("ping" in order)
		socket.ping(order.ping);
	if ("close" in order)
		socket.close(...order.close);
});
