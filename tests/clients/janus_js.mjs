// janus.js in Node: node janus_js.mjs. Does what JSON lines on its input say, and writes a JSON line for all that happens.
// {"connect": URL, "options": {}}, {"subscribe": [TOPIC...] | "login": [USER...], "as": N, "since": POSITION, "last": N}, {"unsubscribe": N},
// {"publish": TOPIC | "send": USER, "data": DATA, "options": {}, "as": N}, {"hurry": true}, {"close": true}.
import {createInterface} from "node:readline";
import {Janus} from "../../packaging/janus.js/janus.js";

const say = what => process.stdout.write(JSON.stringify(what) + "\n");
const subscriptions = new Map();
let janus, tokens = 0;

const told = ({message, name, status}) => ({error: message, name, status});

function watch(method, {as, since, last, ...order}) {
	const subscription = janus[method](order[method], m => say({message: m, as}), {since, last});
	subscriptions.set(as, subscription);
	subscription.ready.then(ready => say({ready, as}), error => say({refused: told(error), as}));
}

createInterface({input: process.stdin}).on("line", line => {
	const order = JSON.parse(line), {as} = order;
	if (order.connect) {
		if (order.tokens)
			order.options.token = async () => `token${++tokens}`;
		janus = new Janus(order.connect, order.options);
		for (const event of ["open", "close", "state", "recovered", "missed", "broadcast"])
			janus.on(event, detail => say({event, detail}));
		janus.on("error", error => say({event: "error", detail: told(error)}));
	}
	if (order.subscribe)
		watch("subscribe", order);
	if (order.login)
		watch("login", order);
	if (order.unsubscribe)
		subscriptions.get(order.unsubscribe).unsubscribe();
	for (const method of ["publish", "send"])
		if (order[method])
			janus[method](order[method], order.data, order.options).then(answer => say({answer, as}), error => say({failed: told(error), as}));
	if (order.close) {
		janus.close();
		process.stdin.destroy();
	}
});
