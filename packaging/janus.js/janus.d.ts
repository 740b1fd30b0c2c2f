/** A client of Janus. See README.md. */

/** What can stand as JSON. */
export type Data = string | number | boolean | null | Data[] | {[name: string]: Data | undefined};

/** A word that the server gives: a message's id, or where a subscription begins. */
export type Position = string;

export interface Message<T = any> {
	/** Undefined of a list of who is there (`event` "members"), which nobody has published. */
	id: Position;
	/** The server's clock: microseconds since 1970. */
	timestamp: number;
	/** Where it went: to a topic, or to a user. */
	topic?: string;
	user?: string;
	/** True of what goes to everybody. */
	broadcast?: true;
	event?: string;
	message_id?: string;
	/** With `encoding` "base64": binary data. */
	data: T;
	encoding?: "base64";
	/** The message as it came, not enumerable: a number there may be more than JavaScript can hold. */
	readonly json: string;
}

export interface Options {
	/**
	 * A token for who wants to know who connects: the server, or a proxy in front. It is called for each connection, and when a token is about to run out, so it may
	 * fetch a new one. Requests have it as `Authorization: Bearer`, a WebSocket as the subprotocol `bearer.TOKEN` beside `janus`, as browsers let it have no
	 * header fields.
	 */
	token?: () => string | Promise<string>;
	/** "auto" (the default) is WebSocket, and event streams where none gets through. */
	transport?: "auto" | "websocket" | "sse";
	/**
	 * One connection for all tabs of this origin. On, unless said otherwise, where there are Web Locks and BroadcastChannel: in pages that came by https
	 * or from localhost. A text: only among those that say the same. The options are those of the tab that has the connection.
	 */
	share?: boolean | string;
	/** Publishes that may wait for a connection; one more is rejected with a QueueError. 1000. */
	queue?: number;
	/** Milliseconds before it connects again: the first delay (500), which doubles, and the longest (30000). Each is half as long to half as long again. */
	minDelay?: number;
	maxDelay?: number;
	/** After so many milliseconds without a word (20000) the server is asked whether it is there; it has so long to answer (10000). */
	silence?: number;
	patience?: number;
	/** WebSockets that do not open before event streams are tried (2), and milliseconds until a WebSocket is tried again (300000). */
	socketTries?: number;
	socketAgain?: number;
	/** In place of the global ones. */
	fetch?: typeof fetch;
	WebSocket?: any;
}

/** What of the past is wanted; one of them. */
export interface Past {
	/** All behind this position: what an application has kept of the last time. */
	since?: Position;
	/** The last so many messages of each topic, 1 to 1000. */
	last?: number;
}

export interface Ready {
	/** Where it begins. Of several that were subscribed already: the oldest. */
	position: Position | undefined;
	/** With `since`: whether nothing is missing; and, if something is, how many messages at least. */
	recovered?: boolean;
	missing?: number;
}

export interface Subscription {
	/** When it is subscribed. Rejected if the server refuses it; there is an "error" event then too. */
	readonly ready: Promise<Ready>;
	readonly kind: "topic" | "user";
	readonly names: string[];
	unsubscribe(): void;
}

export interface PublishOptions {
	/** What kind of message it is. */
	event?: string;
	/** The publisher's mark, passed on. Where the server has `publish-once`, of two with the same mark to the same topic only the first counts. */
	messageId?: string;
	/** Published once, however often the connection breaks before the answer: with a mark of its own, and repeated. The default with a messageId. */
	once?: boolean;
	/** `data` is a text that is JSON, and is sent as it stands, with every digit. */
	json?: boolean;
}

export interface Published {
	/** null if nobody was there and nothing is kept. */
	id: Position | null;
	/** How many connections had the topic or user at that moment. */
	subscribers: number;
}

export interface State {
	/** "closed" is for good: by close(), or as the server has refused the connection. */
	state: "connecting" | "open" | "waiting" | "closed";
	transport?: "websocket" | "sse";
	/** The server's. */
	version?: string;
	features?: string[];
	/** Milliseconds until the next try. */
	retry?: number;
	code?: number;
	reason?: string;
	status?: number;
	error?: string;
}

export interface Events {
	/** There is a connection, and what the last one's session had goes on, if the server still had it. */
	open: {transport: "websocket" | "sse"; version?: string; features: string[]};
	/**
	 * It has ended, and the next try is made in `retry` milliseconds. With a WebSocket's code and reason, or an answer's status. Code 1008, "another connection
	 * has attached to this session": somebody who has its token has taken it over (over event streams this is an "error" event); what comes next is another session.
	 */
	close: {code?: number; reason?: string; status?: number; retry: number; error?: string};
	/** Any change of `janus.state`. */
	state: State;
	/** After a connection was made again, for each topic, pattern and user. `missing`: at least so many; of several that went on together, of all of them. */
	recovered: {topic?: string; user?: string; recovered: boolean; missing?: number};
	/** This client read so slowly that the server no longer had so many messages for it, of a topic, pattern, user or of broadcasts (its setting `slow`). */
	missed: {topic?: string; user?: string; broadcast?: true; messages: number};
	/** What goes to everybody. */
	broadcast: Message;
	/** A refusal, with the names that were to be subscribed; or what a handler has thrown. Without a listener it goes to the console. */
	error: Error & {status?: number; topic?: string[]; user?: string[]};
}

export class Janus {
	/** `url`: the server's, as "https://janus.example/". Without one: where this module came from, or the page. It connects at once. */
	constructor(url?: string | URL, options?: Options);
	constructor(options?: Options);

	readonly state: State;
	readonly connected: boolean;

	/**
	 * Topics, and patterns of them: in `news.*.uk` the `*` is any one part between dots, in `news.>` the `>` one or more. The handler gets each message once,
	 * whose `topic` is its own. Patterns have no `last`.
	 */
	subscribe<T = any>(topic: string | string[], handler: (message: Message<T>, subscription: Subscription) => void, past?: Past): Subscription;
	/** Takes what is sent to this user. */
	login<T = any>(user: string | string[], handler: (message: Message<T>, subscription: Subscription) => void, past?: Past): Subscription;

	/** Waits for a connection if there is none. Rejected with what the server has against it, a LostError or a QueueError. */
	publish(topic: string, data: Data, options?: PublishOptions): Promise<Published>;
	send(user: string, data: Data, options?: PublishOptions): Promise<Published>;

	/** Returns a function that takes the listener back. */
	on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void;

	/** For good. What waits is rejected. */
	close(): void;
}

/** Of this module; the server's is in `state`. */
export const VERSION: string;
