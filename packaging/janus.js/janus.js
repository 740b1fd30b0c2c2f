/*
 * janus.js, a client of Janus for browsers and Node (18 or later): one module, with no dependencies.
 *
 *	import {Janus} from "https://janus.example/janus.js";
 *	const janus = new Janus();
 *	janus.subscribe("events", message => console.log(message.data));
 *	await janus.publish("events", {eur: 7.5});
 *
 * What it does: README.md beside it. From above to below:
 *
 *	Janus		what a page holds: its subscriptions, and how far each is. What comes twice is dropped here
 *	Shared		in browsers: the tab that has the lock has the Connection, and the others of its origin ask it
 *	Connection	one that is made again and again: what is subscribed, how far each topic is, what waits to be published
 *	SocketLink	one WebSocket; and StreamLink, the same by fetch(): event streams and POSTs. A link that has ended is left
 *
 * How nothing is lost and nothing comes twice: of each topic and pattern it is known up to which position all has come. A new link goes on with the session
 * that the last one has left on the server, behind the oldest of these positions, or, if it is not there any more, subscribes each from there on; so does a
 * new tab that has the connection. So what comes may begin too early and never too late.
 *
 * To others, positions are words. This client is the server's own and looks into them: EPOCH-SEQUENCE, of which the sequence counts up over all
 * topics, and the epoch is another, later one when the server has begun anew. Where several servers share what is kept, messages of those topics have an epoch of their own, the same on all servers, and others the server's:
 * positions of two epochs cannot be compared, and each kind of topic goes on from one of its own.
 */
export const VERSION = "0.1.0";

const KINDS = {
	topic: {join: "subscribe", leave: "unsubscribe", put: "publish", stream: "sub", post: "pub"},
	user: {join: "login", leave: "logout", put: "send", stream: "inbox", post: "send"},
};
const DEFAULTS = {
	transport: "auto",	// or "websocket", "sse"
	queue: 1000,		// publishes that may wait for a connection
	minDelay: 500,		// milliseconds before the first try to connect again; it doubles
	maxDelay: 30000,
	silence: 20000,		// after so long without a word the server is asked whether it is there
	patience: 10000,	// and has so long to answer, as it has to greet
	socketTries: 2,		// WebSockets that do not open, before event streams are tried
	socketAgain: 300000,	// how long event streams are used until a WebSocket is tried again
};
const NAMES_MOST = 500;		// in one request to go on
const ADDRESS_MOST = 6000;	// characters of names in an address; the server takes 8,000 in all
const HISTORY_LIMIT = 1000;
const STREAMS_MOST = 2;		// of a kind: a browser has six connections to a server
const HELD = 5000;		// a connection that held so long begins with minDelay again
const AGAIN = 5000;		// until what there was no room for is asked for again
const TAKEN_LATER = 2;		// seconds by which a connection is the later one, as the server counts them whole
const GATHER = 50;		// for how long a tab that takes over waits for what the others want

/* ---- positions ---- */

/* Of numbers without zeros in front. */
const byLength = (a, b) => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

function order(a, b) {
	const [epochA, seqA = ""] = a.split("-"), [epochB, seqB = ""] = b.split("-");
	return byLength(epochA, epochB) || byLength(seqA, seqB);
}

const epochOf = position => position?.slice(0, position.indexOf("-"));

/* Whether the message with this id has come, where all up to `position` has. */
function isHad(id, position) {
	return position !== undefined && epochOf(id) === epochOf(position) && order(id, position) <= 0;
}

const oldest = positions => positions.reduce((a, b) => a === undefined || (b !== undefined && order(b, a) < 0) ? b : a, undefined);

/* From where all of them go on that came one way: all came in order, so where they are of several epochs it is what came last. */
const goOn = (positions, way) => way?.last !== undefined && new Set(positions.filter(p => p !== undefined).map(epochOf)).size > 1 ? way.last : oldest(positions);

/* ---- small things ---- */

const keyOf = (kind, name) => `${kind} ${name}`;
const nameOf = key => key.slice(key.indexOf(" ") + 1);
const isPattern = name => name.split(".").some(part => part === "*" || part === ">");
const keyOfMessage = m => m.topic !== undefined ? keyOf("topic", m.topic) : m.user !== undefined ? keyOf("user", m.user) : "broadcast";
const addressSize = name => encodeURIComponent(name).length + "&topic=".length;
const problem = (message, more) => Object.assign(new Error(message), more);
const LOST = "the connection was lost before the answer";
const TAKEN = "another connection has attached to this session";	// the server's words

/* A message, whose `json` is its text: a number there may be more than JavaScript can hold. */
const parsed = text => Object.defineProperty(JSON.parse(text), "json", {value: text});

/* Whether a topic fits the pattern, by the server's rules: `*` is any one part between dots; `>`, as the last one, any one or more. */
function matcher(pattern) {
	const parts = pattern.split(".").map(part => part === "*" ? "[^.]*" : part === ">" ? ".*" : part.replace(/[\\^$*+?()[\]{}|]/g, "\\$&"));
	const all = new RegExp(`^${parts.join("\\.")}$`, "s");
	return topic => all.test(topic);
}

/* (Neither pages by http nor Node 18 have randomUUID().) */
const uuid = () => globalThis.crypto?.randomUUID?.() ??
	"xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () => Math.floor(Math.random() * 16).toString(16));

/* Milliseconds, of a field Retry-After; undefined: it says nothing. */
function retryAfter(field) {
	const ms = field === null || field === "" ? NaN : /^\d+$/.test(field) ? field * 1000 : Date.parse(field) - Date.now();
	return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/* What one subscription is told, where several requests were made for it. */
function combined(results) {
	const all = {positions: {}, past: []};
	for (const {positions, past = [], recovered, missing} of results) {
		Object.assign(all.positions, positions);
		all.past.push(...past);
		if (recovered !== undefined)
			all.recovered = recovered && all.recovered !== false;
		if (missing !== undefined)
			all.missing = missing + (all.missing ?? 0);
	}
	return all;
}

/* ---- one WebSocket ---- */

/*
 * A link calls `on`: opened({version, features}), message(message, text), missed({topic, user, messages}), expires(), as its token is about to run out, and, once, closed({code, reason, status, retryAfter, error}).
 * `done` is called with an Error, or undefined and the answer; not any more when the link is closed. With messages and answers to subscribing comes the
 * way that they took: all that comes one way comes in order, but for what begins later. {transport, count: messages so far, last: the id of the last one,
 * token: of the server's session, by which another link goes on with it; held: what that session may have subscribed}.
 */
class SocketLink {
	transport = "websocket";
	#options; #on; #socket; #watch; #heard;
	#way = {transport: "websocket", count: 0, held: new Map()};	// held: by key, the request that subscribed it
	#refs = new Map();
	#ref = 0;
	#asked = true;		// for its greeting, by opening it

	constructor(options, token, on) {
		const url = new URL("ws", options.base);
		url.protocol = url.protocol.replace("http", "ws");
		this.#options = options;
		this.#on = on;
		try {
			// A browser lets it have no field of its own: the token is offered as if it were a subprotocol, beside the one that is spoken.
			this.#socket = new options.WebSocket(url.href, token === undefined ? [] : ["janus", `bearer.${token}`]);
		} catch (error) {	// a browser forbids ws:// to pages that came by https
			queueMicrotask(() => this.#end({error}));
			return;
		}
		this.#socket.onmessage = ({data}) => this.#receive(data);
		this.#socket.onclose = ({code, reason}) => this.#end({code, reason});
		// What follows is its close, but in Node 20.
		this.#socket.onerror = ({message}) => setTimeout(() => this.#end({error: problem(message || "no WebSocket gets through")}), 50);
		this.#listen();
	}

	subscribe(kind, names, {since, last}, done) {
		const ref = this.#act({action: KINDS[kind].join, [kind]: names, since, last}, done);
		for (const name of names)
			this.#way.held.set(keyOf(kind, name), ref);
	}

	unsubscribe(kind, names) {
		const {held} = this.#way, keys = names.map(name => keyOf(kind, name)), ref = this.#act({action: KINDS[kind].leave, [kind]: names}, () => {
			for (const key of keys)
				if (held.get(key) < ref)
					held.delete(key);
		});
	}

	isWay(way) { return way === this.#way; }

	/* Goes on with the session that another link has left. Nothing else is asked before it is answered. */
	attach({token, held}, since, done) {
		this.#asked = true;
		this.#act({action: "attach", token, since}, (error, answer, way) => {
			for (const key of error ? [] : held.keys())
				way.held.set(key, 0);
			done(error, answer, way);
		});
		this.#listen();
	}

	publish(message, done) {
		const {kind, name, data, event, messageId} = message;
		message.begun = true;
		this.#act({action: KINDS[kind].put, [kind]: name, event, message_id: messageId}, done, data);
	}

	/* Shows another token, as the one before is about to run out. */
	renew(token) {
		this.#act({action: "auth", token}, error => error && this.#on?.failed(error));
	}

	/* Asks whether the server is there, unless it is being asked. After a sleep a socket may look open for ever. */
	check() {
		if (this.#asked)
			return;
		this.#asked = true;
		this.#act({action: "ping"}, () => {});
		this.#listen();
	}

	/* With a goodbye, which ends the session. Nothing, if it has ended. */
	close() {
		const socket = this.#leave();
		if (socket) {
			this.#way.token = undefined;
			socket.close();
		}
	}

	/* The socket, if it has not been left before. */
	#leave() {
		const socket = this.#socket;
		this.#on = this.#socket = undefined;
		clearTimeout(this.#watch);
		if (socket)
			socket.onmessage = socket.onclose = null;
		return socket;
	}

	#act(action, done, data) {
		const ref = ++this.#ref, text = JSON.stringify({...action, ref});
		this.#refs.set(ref, done);
		this.#socket.send(data === undefined ? text : `${text.slice(0, -1)},"data":${data}}`);
		return ref;
	}

	/* The greeting has `janus`, an answer `ok`; what was lost is told without an id; all else are messages. */
	#receive(text) {
		const m = JSON.parse(text);
		this.#asked = false;
		this.#heard = Date.now();
		if (m.token !== undefined && (m.janus !== undefined || m.ok))
			this.#way.token = m.token;
		if (m.janus !== undefined) {
			this.#listen();
			return this.#on.opened({version: m.janus, features: m.features});
		}
		if (m.missed !== undefined && m.id === undefined)
			return this.#on.missed(m.missed);
		if (m.expires !== undefined && m.ok === undefined && m.id === undefined)
			return this.#on.expires?.();
		if (m.ok === undefined)
			return this.#on.message(Object.defineProperty(m, "json", {value: text}), text, this.#way);
		const done = this.#refs.get(m.ref);
		this.#refs.delete(m.ref);
		if (m.ok)
			done?.(undefined, m, this.#way);
		else if (done)
			done(problem(m.error));
		else
			this.#on.failed(problem(m.error));
	}

	/* One timer, however much comes. */
	#listen() {
		const {silence, patience} = this.#options;
		clearTimeout(this.#watch);
		this.#watch = setTimeout(() => {
			if (this.#asked)
				this.#silent();
			else if (Date.now() - this.#heard >= silence)
				this.check();
			else
				this.#listen();
		}, this.#asked ? patience : this.#heard + silence - Date.now());
	}

	/* Not closed at once: a goodbye that gets through late would end the session that the next link is to attach to. */
	#silent() {
		const {silence, patience} = this.#options, on = this.#on, socket = this.#leave();
		setTimeout(() => socket.close(), silence + patience).unref?.();
		on?.closed({error: problem("the server does not answer")});
	}

	/* 1008: another one may have taken over the session, which then is not fought about. */
	#end(why) {
		const on = this.#on, socket = this.#leave();
		if (why.code === 1008)
			this.#way.token = undefined;
		socket?.close();
		on?.closed(why);
	}
}

/* ---- the same by fetch() ---- */

/*
 * A stream for each request to subscribe, as all that one stream has begins at one position. When they become many, one takes the place of all: it
 * begins at the oldest position, and what has been had is dropped by the connection. So does one in place of a stream of which something is
 * unsubscribed. Each has a session of its own on the server, with a token, and goes on with that when it is asked for again (`from`, its way).
 */
class StreamLink {
	transport = "sse";
	#options; #token; #on;
	#stop = new AbortController();
	#streams = new Set();
	#posts = Promise.resolve();	// one behind the other, so that they keep their order
	#sessions = false;		// whether the server has them

	constructor(options, token, on) {
		this.#options = options;
		this.#token = token;
		this.#on = on;
		this.#greet();
	}

	subscribe(kind, names, {since, last, from}, done) {
		this.#stream(kind, new Set(names), {since, last, from}, done);
	}

	isWay(way) { return [...this.#streams].some(stream => stream.way === way); }

	unsubscribe(kind, names) {
		for (const stream of this.#streams) {
			if (stream.kind !== kind)
				continue;
			for (const name of names)
				stream.names.delete(name);
			this.#tidy(stream);
		}
	}

	#tidy(stream) {
		if (!stream.names.size)
			this.#abort(stream);
		else if (stream.names.size < stream.asked && !stream.start && !stream.replaced)
			this.#replace(stream.kind, [stream]);
	}

	publish(message, done) {
		this.#posts = this.#posts.then(() => this.#post(message, done));
	}

	/* For what is asked from now on. A stream ends when its own token has run out; then the next link begins, with this one or a later one. */
	renew(token) { this.#token = token; }

	/* Streams have their heartbeats, and nothing to ask with. */
	check() {}

	close() {
		this.#on = undefined;
		this.#stop.abort();
		for (const stream of this.#streams)
			this.#abort(stream);
	}

	/* Any path of the server. Also used for history, whatever the link. */
	static fetch(options, token, path, parameters, {headers, ...init}) {
		const url = new URL(path, options.base);
		for (const [name, value] of parameters)
			if (value !== undefined)
				url.searchParams.append(name, value);
		if (token !== undefined)
			headers = {...headers, Authorization: `Bearer ${token}`};
		return options.fetch.call(undefined, url.href, {cache: "no-store", headers, ...init});
	}

	/* Why an answer is none that helps. */
	static async refusal(answer) {
		const body = await answer.text().catch(() => "");
		let text;
		try {
			text = JSON.parse(body).error;
		} catch {
			text = undefined;	// a proxy's words
		}
		return problem(text ?? `the server has answered with ${answer.status}`, {status: answer.status, retryAfter: retryAfter(answer.headers.get("retry-after"))});
	}

	/* That the server is there, and lets us. A proxy may not pass on this path. */
	async #greet() {
		const late = setTimeout(() => this.#end({error: problem("the server has not answered in time")}), this.#options.patience);
		try {
			const answer = await StreamLink.fetch(this.#options, this.#token, "version", [], {signal: this.#stop.signal});
			if (!answer.ok && answer.status !== 404)
				throw await StreamLink.refusal(answer);
			const {version, features = []} = answer.ok ? await answer.json() : {};
			this.#sessions = features.includes("sessions");
			this.#on?.opened({version, features});
		} catch (error) {
			this.#end({error, status: error.status, retryAfter: error.retryAfter});
		} finally {
			clearTimeout(late);
		}
	}

	#abort(stream) {
		this.#streams.delete(stream);
		clearTimeout(stream.watch);
		stream.stop.abort();
	}

	#heard(stream) {
		const {silence, patience} = this.#options;
		clearTimeout(stream.watch);
		stream.watch = setTimeout(() => this.#end({error: problem("nothing comes any more")}), silence + patience);
	}

	/* Of the session to go on with; "" asks for one. A stream that another connection has taken over just ends, so it is looked whether one has come later. */
	async #tokenFor(from, signal) {
		if (!this.#sessions || from?.token === undefined)
			return this.#sessions ? "" : undefined;
		const answer = await StreamLink.fetch(this.#options, this.#token, `session/${from.token}`, [], {signal});
		const {attached, since} = answer.ok ? await answer.json() : {};
		if (!attached || (since + TAKEN_LATER) * 1000 >= Date.now() - from.began)
			return from.token;
		this.#on?.failed(problem(TAKEN));
		return from.token = "";
	}

	async #stream(kind, names, {since, last, from}, done) {
		const stream = {kind, names, asked: names.size, way: {transport: "sse", count: 0}, stop: new AbortController()};
		stream.start = position => {
			stream.start = undefined;
			const [recovered, missing] = stream.recovered.split(/;\s*missing=/);
			done(undefined, {position, recovered: recovered ? recovered === "true" : undefined, missing: missing && +missing}, stream.way);
			this.#tidy(stream);
			this.#merge(kind);
		};
		this.#streams.add(stream);
		try {
			this.#heard(stream);
			const token = await this.#tokenFor(from, stream.stop.signal);
			const parameters = [...[...names].map(name => [kind, name]), ["envelope", "json"], ["since", since], ["last", last], ["token", token]];
			const answer = await StreamLink.fetch(this.#options, this.#token, KINDS[kind].stream, parameters,
							      {headers: {Accept: "text/event-stream"}, signal: stream.stop.signal});
			if (!this.#streams.has(stream))
				return;
			if (!answer.ok)
				throw await StreamLink.refusal(answer);
			stream.recovered = answer.headers.get("janus-recovered") ?? "";
			stream.way.token = answer.headers.get("janus-token") ?? undefined;
			stream.way.began = Date.now();
			if (token && stream.way.token === token)
				stream.asked = from.held;	// it has what the session has
			stream.way.held = stream.asked;
			await this.#read(stream, answer.body.getReader());
			throw problem("the stream has ended");
		} catch (error) {
			if (!this.#streams.has(stream))
				return;
			this.#abort(stream);
			const {status} = error;
			if (status >= 400 && status < 500 && status !== 401 && status !== 408 && status !== 429)
				done(error);
			else
				this.#end({error, status, retryAfter: error.retryAfter});
		}
	}

	async #read(stream, reader) {
		const decoder = new TextDecoder();
		let rest = "", event = {data: []};
		for (;;) {
			const {value, done} = await reader.read();
			if (done || !this.#streams.has(stream))
				return;
			this.#heard(stream);
			const lines = (rest + decoder.decode(value, {stream: true})).split("\n");
			rest = lines.pop();
			for (const line of lines) {
				const [, field, content] = /^([^:]*):? ?(.*)$/s.exec(line);
				if (field === "data")
					event.data.push(content);
				else if (field === "id")
					event.id = content;
				else if (field === "event")
					event.name = content;
				if (line !== "")
					continue;
				this.#event(stream, event);
				event = {data: []};
				if (!this.#streams.has(stream))
					return;
			}
		}
	}

	/* The first one has an id alone: where the stream begins. The token, an event without an id, has been in the head. */
	#event(stream, {name, id, data}) {
		if (id !== undefined && stream.start)
			stream.start(data.length ? undefined : id);
		if (!data.length || (name === "token" && id === undefined))
			return;
		const text = data.join("\n"), m = parsed(text);
		if (m.missed !== undefined && m.id === undefined)
			this.#on?.missed(m.missed);
		else if (m.expires !== undefined && m.id === undefined)
			this.#on?.expires?.();
		else if (m.expired === undefined || m.id !== undefined)		// its end follows, and says it
			this.#on?.message(m, text, stream.way);
	}

	/* One stream in place of several. */
	#merge(kind) {
		const epochs = new Map();
		for (const stream of this.#streams) {
			if (stream.kind !== kind)
				continue;
			const all = [...new Set([...stream.names].map(name => epochOf(this.#on.position(kind, name))))].sort().join();
			epochs.set(all, [...epochs.get(all) ?? [], stream]);
		}
		for (const [epoch, several] of epochs)
			if (!epoch.includes(","))		// one of several epochs is left as it is
				this.#mergeThese(kind, several);
	}

	#mergeThese(kind, several) {
		const size = several.flatMap(s => [...s.names]).reduce((n, name) => n + addressSize(name), 0);
		if (several.length > STREAMS_MOST && size <= ADDRESS_MOST && !several.some(s => s.start || s.replaced))
			this.#replace(kind, several);
	}

	/* They go on until it has begun. */
	#replace(kind, several) {
		const names = several.flatMap(s => [...s.names]), begin = goOn(names.map(name => this.#on.position(kind, name)), several[0].way);
		for (const stream of several)
			stream.replaced = true;
		this.#stream(kind, new Set(names), {since: begin}, (error, answer, way) => {
			for (const name of error ? [] : names)
				this.#on.moved(kind, name, way, several.map(s => s.way));
			for (const stream of several) {
				stream.replaced = false;
				if (!error)
					this.#abort(stream);
			}
		});
	}

	async #post(message, done) {
		const {kind, name, data, event, messageId} = message;
		if (!this.#on)
			return;
		message.begun = true;
		const parameters = [[kind, name], ["event", event], ["message_id", messageId]], headers = {"Content-Type": "application/json"};
		if (messageId !== undefined && /^[ -~]+$/.test(messageId))
			headers["Idempotency-Key"] = `"${messageId.replace(/["\\]/g, "\\$&")}"`;
		try {
			const answer = await StreamLink.fetch(this.#options, this.#token, KINDS[kind].post, parameters,
							      {method: "POST", headers, body: data, signal: this.#stop.signal});
			if (!answer.ok)
				throw await StreamLink.refusal(answer);
			const got = await answer.json();
			if (this.#on)
				done(undefined, got);
		} catch (error) {
			if (this.#on)
				done(error);
		}
	}

	#end(why) {
		const on = this.#on;
		this.close();
		on?.closed(why);
	}
}

/* ---- a connection that is made again and again ---- */

/*
 * `on`: message(keys, text, m), event(name, detail). What is subscribed is a channel, from the request on until it is unsubscribed:
 * {kind, name, fits: of a pattern, position, accepted: the server has taken it once; source: the way it comes, and what comes another way is not for it}.
 */
class Connection {
	#options; #on; #link; #token; #timer; #probe; #probing; #attempt;
	#channels = new Map();		// by key
	#patterns = new Set();		// those of them that are patterns
	#broadcast;			// the id of the last one
	#requests = new Set();		// to subscribe, which have no answer yet
	#queue = [];			// publishes that wait
	#sent = new Set();		// and those that have been sent and have no answer
	#state = {state: "connecting"};
	#features = [];
	#opened = 0;			// when; 0: it is not open
	#notBefore = 0;			// the server wants no try before
	#delay = 0;
	#socketFailures = 0;		// in a row
	#refused = false;		// a token; the next one may do

	constructor(options, on) {
		this.#options = options;
		this.#on = on;
	}

	get state() { return this.#state; }

	connect() {
		if (this.#state.state === "closed")
			return;
		const attempt = this.#attempt = {};
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#say({state: "connecting"});
		this.#fresh().then(token => {
			if (attempt === this.#attempt)
				this.#begin(token);
		}, error => {
			if (attempt === this.#attempt)
				this.#lost({error});
		});
	}

	/* A token for the next link. */
	async #fresh() {
		return this.#token = await this.#options.token?.();
	}

	/* (If there is none to be had, the link ends with its token, and the next one asks again.) */
	#renew() {
		const link = this.#link;
		if (this.#options.token)
			this.#fresh().then(token => link === this.#link && token !== undefined && link.renew(token), error => this.#on.event("error", error));
	}

	#begin(token) {
		const link = this.#link = new (this.#bySocket() ? SocketLink : StreamLink)(this.#options, token, this.#hooks(() => link));
	}

	#bySocket() {
		const {transport, WebSocket, socketTries} = this.#options;
		return transport === "websocket" || (transport === "auto" && WebSocket !== undefined && this.#socketFailures < socketTries);
	}

	/* What a link calls; of one that was left, nothing is heard. */
	#hooks(link) {
		const current = f => (...what) => this.#link !== undefined && link() === this.#link ? f(...what) : undefined;
		return {
			opened: current(greeting => this.#greeted(greeting)),
			message: current((m, text, source) => this.#receive(m, text, source)),
			missed: current(what => this.#on.event("missed", what)),
			closed: current(why => this.#lost(why)),
			expires: current(() => this.#renew()),
			failed: current(error => this.#on.event("error", error)),
			position: (kind, name) => this.#position(this.#channels.get(keyOf(kind, name))),
			moved: current((kind, name, source, before) => {
				const channel = this.#channels.get(keyOf(kind, name));
				if (before.includes(channel?.source))
					this.#move(channel, source);
			}),
		};
	}

	#say(state) {
		this.#state = state;
		this.#on.event("state", state);
	}

	/* A WebSocket goes on with the session that the last one has left, if the server still has it. */
	#greeted(greeting) {
		const link = this.#link, left = link.transport === "websocket" ? this.#left() : undefined;
		if (left === undefined)
			return this.#open(greeting);
		this.#socketFailures = 0;
		link.attach(left, goOn(this.#of(left).map(c => this.#position(c)), left), (error, answer, way) => {
			if (link !== this.#link)
				return;
			if (error)
				left.token = undefined;
			this.#open(greeting, error ? undefined : () => this.#attached(left, way, answer));
		});
	}

	/* The way of a WebSocket that may have left its session. */
	#left() {
		for (const {source} of this.#channels.values())
			if (source?.transport === "websocket" && source.token !== undefined)
				return source;
		return undefined;
	}

	#of(way) {
		return [...this.#channels.values()].filter(c => c.accepted && c.source === way);
	}

	/* What was unsubscribed meanwhile the session has still, and it may have what was asked for when the connection broke: that is asked for anew. */
	#attached(left, way, answer) {
		const channels = this.#of(left);
		for (const channel of channels)
			this.#move(channel, way);
		for (const key of [...way.held.keys()])
			if (this.#channels.get(key)?.source !== way)
				this.#link.unsubscribe(key.slice(0, key.indexOf(" ")), [nameOf(key)]);
		this.#recovered(channels, answer);
	}

	#open({version, features}, attached) {
		const {transport} = this.#link;
		this.#opened = Date.now();
		this.#features = features;
		this.#refused = false;
		if (transport === "websocket")
			this.#socketFailures = 0;
		else
			this.#probeLater();
		this.#say({state: "open", transport, version, features});
		this.#on.event("open", {transport, version, features});
		attached?.();
		this.#resume();
		this.#pump();
	}

	/* The link has ended. What the server has against the first request, it will have against the next: then it is for good. */
	#lost({code, reason, status, retryAfter, error}) {
		const wasOpen = this.#opened !== 0, held = wasOpen && Date.now() - this.#opened > HELD, link = this.#link;
		this.#leave();
		if (!wasOpen && link?.transport === "websocket")
			this.#socketFailures++;
		else if (!wasOpen && link?.transport === "sse" && status === undefined)
			this.#socketFailures = Math.min(this.#socketFailures, this.#options.socketTries - 1);	// by turns, when neither gets through
		if (status >= 400 && status < 500 && status !== 408 && status !== 429 && !(status === 401 && this.#options.token && !this.#refused))
			return this.#end(error);
		this.#refused = status === 401;
		this.#unanswered(code >= 1002 && code <= 1011 && code !== 1005 && code !== 1006);
		this.#delay = held ? this.#options.minDelay : Math.min(this.#delay * 2 || this.#options.minDelay, this.#options.maxDelay);
		// More or less, lest all come at once; and never before the server wants it.
		const retry = retryAfter === undefined ? this.#delay * (0.5 + Math.random()) : retryAfter + this.#delay * Math.random();
		this.#notBefore = Date.now() + (retryAfter ?? 0);
		this.#timer = setTimeout(() => this.connect(), retry);
		const why = {code, reason, status, retry, error: error?.message};
		if (wasOpen)
			this.#on.event("close", why);
		this.#say({state: "waiting", ...why});
	}

	#leave() {
		this.#attempt = undefined;
		this.#link?.close();
		this.#link = undefined;
		this.#opened = 0;
		clearTimeout(this.#timer);
		this.#timer = undefined;
		clearTimeout(this.#probe);
		this.#probing?.close();
		this.#probing = undefined;
		for (const request of this.#requests)
			clearTimeout(request.timer);
	}

	/* Publishes without an answer: those with a key the server would know again; but one of them may be why it has closed. */
	#unanswered(guilty) {
		const again = [...this.#sent].filter(p => !p.begun || (!guilty && p.once && this.#features.includes("publish-once")));
		for (const p of this.#sent)
			if (!again.includes(p))
				p.reject(problem(LOST, {name: "LostError"}));
		this.#sent.clear();
		this.#queue.unshift(...again.map(p => Object.assign(p, {begun: false})));
	}

	/* For good. */
	#end(error) {
		this.#leave();
		this.#say({state: "closed", error: error?.message, status: error?.status});
		if (error)
			this.#on.event("error", error);
		for (const one of [...this.#requests, ...this.#sent, ...this.#queue])
			one.reject(error ?? problem("closed"));
		this.#requests.clear();
		this.#sent.clear();
		this.#queue = [];
		this.#channels.clear();
		this.#patterns.clear();
	}

	close() {
		if (this.#state.state !== "closed")
			this.#end();
	}

	/* Until connect(). */
	suspend() {
		if (this.#state.state === "closed")
			return;
		this.#leave();
		this.#unanswered(false);
		this.#say({state: "waiting"});
	}

	/* There may be a connection again, or none any more: the page is seen again, the network is back. */
	hurry() {
		if (this.#timer !== undefined && Date.now() >= this.#notBefore)
			this.connect();
		else if (this.#opened)
			this.#link.check();
	}

	/* While event streams are used: whether a WebSocket gets through by now. If so it takes over; what comes twice is dropped. */
	#probeLater() {
		const {transport, WebSocket, socketAgain} = this.#options;
		if (transport !== "auto" || WebSocket === undefined)
			return;
		const link = this.#link, again = () => link === this.#link && this.#probeLater();
		clearTimeout(this.#probe);
		this.#probe = setTimeout(() => this.#fresh().then(token => link === this.#link && this.#probeNow(token, again), again), socketAgain);
	}

	#probeNow(token, again) {
		const hooks = this.#hooks(() => probe), nothing = () => {
			probe.close();
			again();
		};
		const probe = this.#probing = new SocketLink(this.#options, token, {
			...hooks,
			opened: greeting => {
				if (this.#sent.size)
					return nothing();	// they have their answers by POST, or fail
				this.#probing = undefined;
				this.#link.close();
				this.#link = probe;
				this.#open(greeting);
			},
			closed: why => this.#link === probe ? hooks.closed(why) : nothing(),
		});
	}

	/* ---- subscriptions ---- */

	/* A promise of {positions: by name, recovered?, missing?, past: texts of messages that go before what comes}. */
	async subscribe(kind, names, options) {
		const fresh = names.filter(name => !this.#channels.has(keyOf(kind, name)));
		const held = names.filter(name => !fresh.includes(name)).map(name => this.#join(this.#channels.get(keyOf(kind, name)), options));
		if (this.#state.state === "closed")
			throw problem("closed");
		if (fresh.length)
			held.push(this.#create(kind, fresh, options));
		return combined(await Promise.all(held));
	}

	unsubscribe(kind, names) {
		const gone = names.filter(name => {
			const key = keyOf(kind, name);
			this.#patterns.delete(this.#channels.get(key));
			return this.#channels.delete(key);
		});
		if (this.#opened && gone.length)
			this.#link.unsubscribe(kind, gone);
		for (const request of this.#requests)
			request.channels = request.channels.filter(c => this.#isWanted(c));
	}

	/*
	 * Up to where all of it has come: where its last message is, or the last one of any topic that came the same way behind the answer to its
	 * subscribing, since by one way all comes in order. So those that came one way go on together, in order, and quiet topics from not too long ago.
	 */
	#position(channel) {
		const {position, source, count} = channel ?? {}, last = position === undefined ? source : source?.lasts?.get(epochOf(position));
		return last !== undefined && last.count > count && !isHad(last.last, position) ? last.last : position;
	}

	/* It comes another way from now on. */
	#move(channel, source) {
		if (channel)
			Object.assign(channel, {position: this.#position(channel), source, count: source.count});
	}

	#isWanted(channel) {
		return this.#channels.get(keyOf(channel.kind, channel.name)) === channel;
	}

	#create(kind, names, {since, last}) {
		const channels = names.map(name => ({kind, name}));
		for (const channel of channels) {
			this.#channels.set(keyOf(kind, channel.name), channel);
			if (kind === "topic" && isPattern(channel.name)) {
				channel.fits = matcher(channel.name);
				this.#patterns.add(channel);
			}
		}
		const request = {kind, channels, since, last}, answered = this.#request(request);
		for (const channel of channels)
			Object.assign(channel, {request, answered});
		return answered;
	}

	/* It is asked now, or when there is a link. */
	#request(request) {
		return new Promise((resolve, reject) => {
			this.#requests.add(Object.assign(request, {resolve, reject}));
			if (this.#opened)
				this.#ask(request);
		});
	}

	/* One more for what is subscribed. Of the past, which has come already, it is told by history; users and patterns have none. */
	async #join(channel, {since, last}) {
		const {kind, name, fits, request} = channel;
		if (fits && last !== undefined)
			throw problem(`${name}: a pattern has no last messages`);
		if (since !== undefined && request.since !== undefined && !request.asked) {	// as when a tab has taken over: all that both want
			request.since = oldest([request.since, since]);
			const {positions, recovered, missing} = await channel.answered;
			return {positions: {[name]: positions[name]}, recovered, missing};
		}
		await channel.answered;
		if (since !== undefined && isHad(channel.position, since))
			return {positions: {[name]: since}, recovered: true};
		if (since === undefined && last === undefined)
			return {positions: {[name]: channel.position}};
		if (kind === "topic" && !fits)
			try {
				return await this.#past(name, since, last);
			} catch (error) {
				this.#on.event("error", error);
			}
		return {positions: {[name]: channel.position}, ...since === undefined ? {} : {recovered: false, missing: 0}};
	}

	async #past(topic, since, last) {
		const all = {positions: {}, past: []};
		for (let more = true, from = since; more;) {
			const answer = await StreamLink.fetch(this.#options, this.#token, "history", [["topic", topic], ["since", from], ["limit", last ?? HISTORY_LIMIT]], {});
			if (!answer.ok)
				throw await StreamLink.refusal(answer);
			const got = await answer.json();
			all.past.push(...got.messages.map(m => JSON.stringify(m)));
			if (from === since && since !== undefined)
				Object.assign(all, {recovered: got.recovered, missing: got.missing});
			all.positions[topic] = from = got.position;
			more = since !== undefined && got.more;
		}
		return all;
	}

	/*
	 * On a new link, what does not go on already: each channel from where it is, by event streams all that had one from where the oldest is; and what has
	 * not been answered. (Patterns by themselves: without a session they are hardly ever `recovered`.)
	 */
	#resume() {
		const first = [...this.#requests], groups = new Map(), bySocket = this.#link.transport === "websocket";
		for (const channel of this.#channels.values()) {
			if (!channel.accepted || this.#link.isWay(channel.source))
				continue;
			const from = !bySocket && channel.source.transport === "sse" && channel.source.token ? channel.source : undefined;
			const group = from ?? keyOf(channel.fits ? "pattern" : channel.kind, bySocket ? this.#position(channel) : epochOf(this.#position(channel))), channels = groups.get(group) ?? [];
			groups.set(group, channels);
			channels.push(channel);
		}
		for (const [group, channels] of groups)
			if (typeof group === "object")
				this.#again(channels, group);
			else
				for (const part of this.#parts(channels))
					this.#again(part);
		for (const request of first)
			if (request.again)
				this.#requests.delete(request);		// it is among the channels
			else
				this.#ask(request);
	}

	/* Of many, so many as one request may have. */
	*#parts(channels) {
		const bySocket = this.#link.transport === "websocket";
		for (let i = 0, begin = 0, size = 0; i < channels.length; i++) {
			size += addressSize(channels[i].name);
			const next = channels[i + 1];
			if (next === undefined || (bySocket ? i + 1 - begin >= NAMES_MOST : size + addressSize(next.name) > ADDRESS_MOST)) {
				yield channels.slice(begin, i + 1);
				begin = i + 1;
				size = 0;
			}
		}
	}

	#again(channels, from) {
		const [{kind}] = channels, request = {kind, channels, since: goOn(channels.map(c => this.#position(c)), from), again: true, from};
		this.#request(request).then(answer => this.#recovered(channels, answer), () => {});
	}

	#recovered(channels, {recovered = false, missing = 0}) {
		for (const {kind, name} of channels)
			this.#on.event("recovered", {[kind]: name, recovered, ...recovered ? {} : {missing}});
	}

	#ask(request) {
		const {kind, since, last, from} = request, link = this.#link, names = request.channels.map(c => c.name);
		if (!names.length)
			return this.#answer(request, {});
		request.asked = true;
		link.subscribe(kind, names, {since, last, from}, (error, answer, source) => {
			if (link !== this.#link)
				return;
			if (error)
				this.#refuse(request, error);
			else
				this.#answer(request, answer, source);
		});
	}

	/* Now, as what comes next may be a message. */
	#answer(request, {position, recovered, missing}, source = {count: 0}) {
		const positions = {};
		this.#requests.delete(request);
		for (const channel of request.channels) {
			channel.accepted = true;
			this.#move(channel, source);
			if (position !== undefined && !isHad(position, channel.position))
				channel.position = position;
			positions[channel.name] = channel.position;
		}
		request.resolve({positions, recovered, missing});
	}

	/* What was subscribed before is in order: there is no room for it now, or for another of those that go on from the same position. */
	#refuse(request, error) {
		const {kind, channels, again} = request;
		this.#requests.delete(request);
		if (!again) {
			request.reject(error);
			this.unsubscribe(kind, channels.filter(c => this.#isWanted(c)).map(c => c.name));
		} else if (channels.length > 1) {
			for (const channel of channels)
				this.#again([channel]);
		} else if (error.status !== undefined) {
			this.#on.event("error", Object.assign(error, {[kind]: channels.map(c => c.name)}));
			this.unsubscribe(kind, channels.map(c => c.name));
		} else {
			this.#on.event("error", error);
			this.#requests.add(request);
			request.timer = setTimeout(() => this.#ask(request), AGAIN * (0.5 + Math.random()));
		}
	}

	/* It is for the topic and for all patterns that it fits, of those that come this way: by another way, what goes before it may not have come yet. */
	#receive(m, text, source) {
		const key = keyOfMessage(m);
		if (m.id === undefined) {	// a list of presence, which says nothing of how far anything is
			if (this.#channels.get(key)?.source === source)
				this.#on.message([key], text, m);
			return;
		}
		source.last = m.id;
		source.count++;
		(source.lasts ??= new Map()).set(epochOf(m.id), {last: m.id, count: source.count});
		if (key === "broadcast") {
			if (isHad(m.id, this.#broadcast))
				return;		// by another stream
			this.#broadcast = m.id;
			return this.#on.message([key], text, m);
		}
		const fitting = [this.#channels.get(key)];
		if (m.topic !== undefined)
			for (const channel of this.#patterns)
				if (channel.fits(m.topic))
					fitting.push(channel);
		const fresh = fitting.filter(c => c?.source === source && !isHad(m.id, c.position));
		for (const channel of fresh)
			channel.position = m.id;
		if (fresh.length)
			this.#on.message(fresh.map(c => keyOf(c.kind, c.name)), text, m);
	}

	/* ---- publishing ---- */

	/* {kind, name, data: JSON, event, messageId, once: it may be repeated} */
	publish(message) {
		return new Promise((resolve, reject) => {
			if (this.#state.state === "closed")
				return reject(problem("closed"));
			if (this.#queue.length >= this.#options.queue)
				return reject(problem("too many wait for a connection", {name: "QueueError"}));
			this.#queue.push({...message, resolve, reject});
			if (this.#opened)
				this.#pump();
			else if (this.#delay <= 2 * this.#options.minDelay)
				this.hurry();
		});
	}

	#pump() {
		const link = this.#link;
		for (const p of this.#queue.splice(0)) {
			this.#sent.add(p);
			link.publish(p, (error, answer) => {
				if (!this.#sent.has(p))
					return;
				// By POST, it may not have arrived, or may have; the link goes with it.
				if (error && p.once && link === this.#link && (error.status === undefined ? link.transport === "sse" : error.status === 429 || error.status >= 500))
					return this.#lost({error, status: error.status, retryAfter: error.retryAfter});
				// The next token may do, once.
				if (error?.status === 401 && this.#options.token && !p.refused && link === this.#link) {
					Object.assign(p, {refused: true, begun: false});
					return this.#lost({error, status: 401});
				}
				this.#sent.delete(p);
				if (error)
					p.reject(error);
				else
					p.resolve({id: answer.id, subscribers: answer.subscribers});
			});
		}
	}
}

/* ---- one connection for all tabs ---- */

/*
 * The tab that has the lock has the connection. The others ask it by a BroadcastChannel, and wait for the lock. Whoever gets it says so, and then all
 * subscribe again, each from where it is, and repeat what has not been answered. Every tab has a lock of its own too, by which the one with the
 * connection learns that it has gone.
 *
 * On the channel: {who} asks who has the connection; {leader, state} says it; {call, from, to, method, args} and its {answer, to, result, error};
 * {text, keys}, a message, and for what of all that is subscribed; {event, detail}.
 */
class Shared {
	#name; #on; #make; #channel; #stop; #connection; #leader; #state = {state: "connecting"};
	#once = false;		// whether the server knows what is published again
	#ended;			// an Error, when it is for good
	#id = uuid();
	#calls = new Map();	// those of this tab that have no answer, by number
	#numbers = 0;
	#tabs = new Map();	// with the connection: what each tab has subscribed, keys

	/* `on` as of Connection, and restore(): all that has been subscribed is to be so again. */
	constructor(name, make, on) {
		this.#name = name;
		this.#make = make;
		this.#on = on;
	}

	get state() { return this.#connection?.state ?? this.#state; }

	connect() {
		if (this.#ended)
			return;
		this.#stop = new AbortController();
		this.#channel = new BroadcastChannel(this.#name);
		this.#channel.onmessage = ({data}) => this.#heard(data);
		const {signal} = this.#stop;
		navigator.locks.request(`${this.#name} ${this.#id}`, {signal}, () => new Promise(release => {
			signal.addEventListener("abort", release);
			this.#wait(signal);
		})).catch(() => {});
	}

	/* (When its own lock is held, lest it be taken for gone.) */
	#wait(signal) {
		this.#channel.postMessage({who: this.#id});
		navigator.locks.request(this.#name, {signal}, () => new Promise(release => {
			signal.addEventListener("abort", release);
			this.#lead();
		})).catch(() => {});
	}

	#lead() {
		const told = f => (...what) => connection === this.#connection && f(...what);	// not any more when it is left
		const connection = this.#connection = this.#make({
			message: told((keys, text, m) => {
				this.#channel.postMessage({text, keys});
				this.#on.message(keys, text, m);
			}),
			event: told((event, detail) => {
				this.#channel.postMessage({event, detail: detail instanceof Error ? flat(detail) : detail});
				this.#note(event, detail);
			}),
		});
		this.#follow(this.#id);
		this.#channel.postMessage({leader: this.#id, state: connection.state});
		setTimeout(told(() => connection.connect()), GATHER);
	}

	/* A refusal is for all of them, and whoever comes later begins anew. */
	#note(event, detail) {
		if (event === "state") {
			this.#state = detail;
			this.#once = detail.features?.includes("publish-once") ?? this.#once;
			if (detail.state === "closed")
				queueMicrotask(() => this.#end(problem(detail.error ?? "closed", {status: detail.status})));
		}
		this.#on.event(event, detail);
	}

	#follow(leader) {
		if (leader === this.#leader)
			return;
		const another = this.#leader !== undefined;
		this.#leader = leader;
		for (const [number, call] of this.#calls)
			if (another && call.method === "publish" && !(call.args[0].once && this.#once)) {
				this.#calls.delete(number);
				call.reject(problem(LOST, {name: "LostError"}));
			} else {
				this.#send(number, call);
			}
		if (another)
			this.#on.restore();
	}

	#heard({who, leader, state, call, from, to, method, args, answer, result, error, text, keys, event, detail}) {
		if (who !== undefined && this.#connection)
			this.#channel.postMessage({leader: this.#id, state: this.#connection.state});
		else if (leader !== undefined && leader !== this.#leader && !this.#connection) {
			this.#note("state", state);
			this.#follow(leader);
		} else if (call !== undefined && to === this.#id && this.#connection) {
			const answer = what => this.#leader === this.#id && this.#channel.postMessage({answer: call, to: from, ...what});
			this.#serve(from, method, args).then(result => answer({result}), error => answer({error: flat(error)}));
		} else if (answer !== undefined && to === this.#id)
			this.#settle(answer, result, error && raised(error));
		else if (text !== undefined)
			this.#on.message(keys, text);
		else if (event !== undefined)
			this.#note(event, event === "error" ? raised(detail) : detail);
	}

	#call(method, ...args) {
		return new Promise((resolve, reject) => {
			const number = ++this.#numbers, call = {method, args, resolve, reject};
			if (this.#ended)
				return reject(this.#ended);
			this.#calls.set(number, call);
			if (this.#leader)
				this.#send(number, call);
		});
	}

	#send(number, {method, args}) {
		if (this.#leader === this.#id) {
			const settle = (result, error) => this.#leader === this.#id && this.#settle(number, result, error);
			this.#serve(this.#id, method, args).then(settle, error => settle(undefined, error));
		} else {
			this.#channel.postMessage({call: number, from: this.#id, to: this.#leader, method, args});
		}
	}

	#settle(number, result, error) {
		const call = this.#calls.get(number);
		this.#calls.delete(number);
		if (error)
			call?.reject(error);
		else
			call?.resolve(result);
	}

	/* What a tab asks of the one with the connection. */
	async #serve(tab, method, args) {
		const connection = this.#connection, [kind, names] = args, keys = this.#keys(tab);
		if (method === "publish")
			return connection.publish(args[0]);
		if (method === "hurry")
			return connection.hurry();
		if (method === "unsubscribe") {
			for (const name of names)
				keys.delete(keyOf(kind, name));
			return connection.unsubscribe(kind, names.filter(name => !this.#isHeld(keyOf(kind, name))));
		}
		for (const name of names)
			keys.add(keyOf(kind, name));
		return connection.subscribe(...args).catch(error => {
			for (const name of names)
				keys.delete(keyOf(kind, name));
			throw error;
		});
	}

	#isHeld(key) {
		return [...this.#tabs.values()].some(keys => keys.has(key));
	}

	#keys(tab) {
		if (!this.#tabs.has(tab)) {
			this.#tabs.set(tab, new Set());
			if (tab !== this.#id)
				navigator.locks.request(`${this.#name} ${tab}`, {signal: this.#stop.signal}, () => this.#forget(tab)).catch(() => {});
		}
		return this.#tabs.get(tab);
	}

	#forget(tab) {
		const keys = [...this.#tabs.get(tab) ?? []];
		this.#tabs.delete(tab);
		for (const kind in KINDS) {
			const names = keys.filter(key => key.startsWith(`${kind} `) && !this.#isHeld(key)).map(key => key.slice(kind.length + 1));
			this.#connection?.unsubscribe(kind, names);
		}
	}

	subscribe(kind, names, options) { return this.#call("subscribe", kind, names, options); }
	unsubscribe(kind, names) { this.#call("unsubscribe", kind, names).catch(() => {}); }
	publish(message) { return this.#call("publish", message); }
	hurry() { this.#call("hurry").catch(() => {}); }

	/* Leaves the others; connect() comes back to them. */
	suspend() {
		if (this.#ended)
			return;
		this.#leave();
		this.#note("state", {state: "waiting"});
	}

	close() {
		if (this.#ended)
			return;
		this.#end(problem("closed"));
		this.#note("state", {state: "closed"});
	}

	#leave() {
		const connection = this.#connection;
		this.#connection = undefined;
		this.#leader = "";	// whoever leads next is another
		this.#tabs.clear();
		this.#channel.close();
		connection?.close();
		this.#stop.abort();
	}

	#end(error) {
		if (this.#ended)
			return;
		this.#ended = error;
		this.#leave();
		for (const {reject} of this.#calls.values())
			reject(error);
		this.#calls.clear();
	}
}

/* An Error on its way to another tab. */
const flat = ({message, name, status}) => ({message, name, status});
const raised = ({message, ...more}) => problem(message, more);

/* ---- what a page holds ---- */

/* What subscribe() and login() return. */
class Subscription {
	#leave; #handler; #broken;
	#positions = new Map();		// by name: up to where all has come
	#waiting = new Set();		// names whose beginning is not known yet; meanwhile, what comes is kept
	#kept = [];			// [message, names]
	#patterns;			// [name, whether a topic fits it]

	constructor(kind, names, since, handler, {leave, broken}) {
		this.kind = kind;
		this.names = names;
		this.#handler = handler;
		this.#leave = leave;
		this.#broken = broken;
		this.#patterns = kind === "topic" ? names.filter(isPattern).map(name => [name, matcher(name)]) : [];
		if (since !== undefined)
			for (const name of names)
				this.#positions.set(name, since);
		this.wait(names);
	}

	/* Ends it. */
	unsubscribe() {
		this.#handler = undefined;
		this.#leave(this);
	}

	wait(names) {
		for (const name of names)
			this.#waiting.add(name);
	}

	/* Where to go on, of the names that began. */
	get beginnings() {
		return this.names.filter(name => !this.#waiting.has(name)).map(name => [name, this.#positions.get(name)]);
	}

	/* Of those of the names that fit it, the one by which a message is handed on: others may bring it, too, and not at the same moment. */
	#by(m) {
		const name = m[this.kind];
		return !this.#patterns.length || this.names.includes(name) ? name : this.#patterns.find(([, fits]) => fits(name))?.[0];
	}

	/* What has come for these of its names. */
	take(m, names) {
		if (this.#waiting.size) {
			this.#kept.push([m, names]);
			return;
		}
		const fresh = m.id === undefined ? names : names.filter(name => !isHad(m.id, this.#positions.get(name)));
		for (const name of m.id === undefined ? [] : fresh)
			this.#positions.set(name, m.id);
		if (!fresh.includes(this.#by(m)))
			return;
		try {
			this.#handler?.(m, this);
		} catch (error) {
			this.#broken(error);
		}
	}

	/* It is subscribed; with messages that go before those that have come meanwhile. */
	begin(names, {positions, past}) {
		const before = past.map(parsed);	// the last of which is at the position
		for (const name of names) {
			this.#waiting.delete(name);
			if (positions[name] !== undefined && !isHad(positions[name], this.#positions.get(name)) && !before.some(m => m[this.kind] === name))
				this.#positions.set(name, positions[name]);
		}
		this.#kept.unshift(...before.map(m => [m, [m[this.kind]]]));
		if (this.#waiting.size)
			return;
		let at = "0-0";		// a list of presence stays behind what came before it
		const all = this.#kept.splice(0).map(([m, fitting]) => ({m, fitting, at: at = m.id ?? at}));
		for (const {m, fitting} of all.sort((a, b) => order(a.at, b.at)))
			this.take(m, fitting);
	}
}

/* See janus.d.ts for what each of its methods takes and gives. */
export class Janus {
	#options; #backend; #watchers = new Map(); #listeners = new Map(); #events;

	constructor(url, options = {}) {
		if (typeof url === "object" && !(url instanceof URL))
			[url, options] = [undefined, url];
		this.#options = {fetch: globalThis.fetch, WebSocket: globalThis.WebSocket, ...DEFAULTS, ...options, base: baseOf(url)};
		const on = {
			message: (keys, text, m) => this.#message(keys, text, m),
			event: (name, detail) => this.#event(name, detail),
			restore: () => this.#restore(),
		};
		const {share, base} = this.#options, make = on => new Connection(this.#options, on);
		this.#backend = share ?? canShare() ? new Shared(`janus ${VERSION} ${base}${typeof share === "string" ? ` ${share}` : ""}`, make, on) : make(on);
		this.#backend.connect();
		this.#attend();
	}

	get state() { return this.#backend.state; }
	get connected() { return this.state.state === "open"; }

	subscribe(topic, handler, options) { return this.#watch("topic", topic, handler, options); }
	login(user, handler, options) { return this.#watch("user", user, handler, options); }
	publish(topic, data, options) { return this.#put("topic", topic, data, options); }
	send(user, data, options) { return this.#put("user", user, data, options); }

	/* Returns a function that takes it back. */
	on(event, listener) {
		if (!this.#listeners.has(event))
			this.#listeners.set(event, new Set());
		this.#listeners.get(event).add(listener);
		return () => this.#listeners.get(event).delete(listener);
	}

	close() {
		this.#events?.abort();
		this.#watchers.clear();
		this.#backend.close();
	}

	/* A page that one has left may be kept for the way back: it must not stay subscribed, nor have the connection. */
	#attend() {
		if (typeof document === "undefined")
			return;
		const {signal} = this.#events = new AbortController();
		let away = false;
		const leave = () => {
			if (!away)
				this.#backend.suspend();
			away = true;
		}, back = () => {
			if (away)
				this.#backend.connect();
			away = false;
		};
		for (const [target, event, f] of [[globalThis, "pagehide", leave], [document, "freeze", leave], [globalThis, "pageshow", back], [document, "resume", back]])
			target.addEventListener(event, f, {signal});
		addEventListener("online", () => this.#backend.hurry(), {signal});
		document.addEventListener("visibilitychange", () => {
			if (document.visibilityState === "visible")
				this.#backend.hurry();
		}, {signal});
	}

	#watch(kind, names, handler, {since, last} = {}) {
		names = [...new Set([names].flat())];
		if (!names.length || names.some(name => typeof name !== "string") || typeof handler !== "function")
			throw new TypeError(`${KINDS[kind].join}: a name or an array of names, and a function`);
		const subscription = new Subscription(kind, names, since, handler, {leave: s => this.#leave(s), broken: error => this.#event("error", error)});
		for (const name of names) {
			const key = keyOf(kind, name);
			this.#watchers.set(key, (this.#watchers.get(key) ?? new Set()).add(subscription));
		}
		subscription.ready = this.#backend.subscribe(kind, names, {since, last}).then(result => {
			subscription.begin(names, result);
			const {positions, recovered, missing} = result;
			return {position: oldest(Object.values(positions)), ...recovered === undefined ? {} : {recovered}, ...missing === undefined ? {} : {missing}};
		});
		subscription.ready.catch(error => {
			this.#leave(subscription, false);
			this.#event("error", Object.assign(error, {[kind]: names}));
		});
		return subscription;
	}

	/* Those that nobody watches any more are unsubscribed. */
	#leave(subscription, tell = true) {
		const {kind, names} = subscription;
		const left = names.filter(name => {
			const key = keyOf(kind, name), watchers = this.#watchers.get(key);
			if (!watchers?.delete(subscription) || watchers.size)
				return false;
			return this.#watchers.delete(key);
		});
		if (tell && left.length)
			this.#backend.unsubscribe(kind, left);
	}

	/* To another tab's connection, from where each is. */
	#restore() {
		for (const subscription of new Set([...this.#watchers.values()].flatMap(set => [...set]))) {
			const {kind, beginnings} = subscription;
			for (const [name, since] of beginnings) {
				subscription.wait([name]);
				this.#backend.subscribe(kind, [name], {since}).then(result => {
					subscription.begin([name], result);
					this.#event("recovered", {[kind]: name, recovered: result.recovered ?? false, ...result.recovered ? {} : {missing: result.missing ?? 0}});
				}, error => this.#event("error", error));
			}
		}
	}

	/* Once to each subscription, however many of its names have it. */
	#message(keys, text, m = undefined) {
		if (keys[0] === "broadcast")
			return this.#event("broadcast", m ?? parsed(text));
		const all = new Map();
		for (const key of keys)
			for (const subscription of this.#watchers.get(key) ?? [])
				all.set(subscription, [...all.get(subscription) ?? [], nameOf(key)]);
		if (all.size)
			m ??= parsed(text);
		for (const [subscription, names] of all)
			subscription.take(m, names);
	}

	#event(name, detail) {
		if ((name === "recovered" || (name === "missed" && !detail.broadcast)) && !this.#watchers.has(keyOfMessage(detail)))
			return;
		const listeners = this.#listeners.get(name) ?? [];
		if (name === "error" && !listeners.size)
			console.error("janus:", detail);
		for (const listener of listeners)
			try {
				listener(detail);
			} catch (error) {
				console.error(error);
			}
	}

	async #put(kind, name, data, {event, messageId, once = messageId !== undefined, json = false} = {}) {
		const text = json ? data : JSON.stringify(data);
		if (typeof text !== "string")
			throw new TypeError(`${KINDS[kind].put}: data is wanted, of what JSON can hold`);
		if (json)
			JSON.parse(text);	// an error is told here
		return this.#backend.publish({kind, name, event, messageId: messageId ?? (once ? uuid() : undefined), once, data: text});
	}
}

/* The server's address, with a slash behind it: without one given, where this module came from, or the page. */
function baseOf(url) {
	const from = /^https?:/.test(import.meta.url) ? new URL(".", import.meta.url) : globalThis.location?.href;
	const base = new URL(url ?? ".", url === undefined ? from : globalThis.location?.href ?? from);
	base.protocol = base.protocol.replace("ws", "http");
	base.pathname = base.pathname.replace(/\/ws$/, "/").replace(/\/?$/, "/");
	base.search = base.hash = "";
	return base.href;
}

/* Web Locks are there by https and on localhost alone. */
function canShare() {
	return typeof document !== "undefined" && globalThis.navigator?.locks !== undefined && typeof BroadcastChannel === "function";
}
