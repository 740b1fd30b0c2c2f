/*
 * Everything janusbench finds fault with: one line each, name (also the key in --json) and what it counts.
 */
#ifndef BENCH_FAULTS_H
#define BENCH_FAULTS_H

#define FAULTS(X) \
	X(BAD, bad, "subscribers or publishers that could not be set up") \
	X(LOST, lost, "messages that a subscriber never got") \
	X(DOUBLED, doubled, "messages that a subscriber got again") \
	X(REORDERED, reordered, "messages behind a later one of their publisher, or subscribers that saw another order than the rest") \
	X(TORN, torn, "frames that are not, byte for byte, what was published") \
	X(STAMPS, stamps, "server timestamps or ids that are not above the one before") \
	X(CONNECTIONS, connections_lost, "subscribers' connections that the server closed") \
	X(PUBLISHERS, publishers_lost, "publishing connections that the server closed") \
	X(ANSWERS, bad_answers, "answers to a publisher that are neither greeting nor PING") \
	X(CHURNED, churn_failed, "connections of --churn that were not accepted, greeted and acknowledged") \
	X(CLIENTS, clients_died, "processes of janusbench itself that died")

enum fault {
#define X(name, key, text) FAULT_##name,
	FAULTS(X)
#undef X
	FAULT_COUNT
};

#endif
