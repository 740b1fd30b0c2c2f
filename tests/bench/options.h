/*
 * What the command line says.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/transport.h"

struct options {
	struct transport transport[TRANSPORTS_MAX];	/* the subscribers' */
	uint32_t transports;
	uint32_t nodes;			/* that are joined; 1: there is one server */
	struct transport publish[NODES_MAX];	/* the publishers', who take turns with the nodes */
	uint32_t subscribers, topics;
	uint32_t messages;		/* of each topic in a round */
	uint32_t rounds;
	uint32_t size;			/* bytes of a message's `data`; the least, if there is size_max */
	uint32_t size_max;		/* the most; 0: all are `size` */
	uint32_t publishers;		/* connections; with --classic, how many at a time */
	uint32_t processes;		/* of subscribers */
	uint32_t at_once;		/* connections that one of them sets up at a time */
	uint32_t burst;
	uint32_t slow;			/* subscribers that stop reading for a while */
	uint32_t small;			/* subscribers with a small receive buffer, beside those */
	uint32_t server_pid;		/* 0: go by server_name */
	double rate;			/* messages a second in all; 0 as fast as possible */
	double running_s;		/* 0: not --while-running */
	double slow_s, timeout_s, pause_ms, histogram_ms;
	double churn;			/* connections a second */
	double reconnect_s;		/* subscribers drop their connections about so often; 0: they stay */
	double away_s;			/* and are away for up to so long */
	uint32_t attach;		/* so many of 100 go on with their session, by its token; the others subscribe anew */
	const char *server_name;
	const char *speak_names, *publish_name;	/* --speak; --publish, NULL not given */
	const char *ca;			/* --ca, see tlsc.h */
	const char *topic;		/* topics' names start so */
	uint32_t topics_each;		/* --topics-per-subscriber; see wire.h */
	bool random;
	bool resume;			/* --resume, within TLS */
	bool patterns;			/* --patterns; see wire.h */
	bool classic, slow_again, slow_may_lose, json, quiet, help;
	bool hold;			/* --hold: wait for a word between set-up and the first round */
};

/* Fills in *opt. 0; or -1, and what is wrong has been written to standard error. With --help, only opt->help is of use. */
int options_parse(struct options *opt, int argc, char **argv);

/* Writes the help text to standard output. */
void options_help(void);

/* Which transport a subscriber is on: on each topic they take turns, starting with another one on the next. */
static inline uint32_t options_transport_of(const struct options *opt, uint32_t subscriber)
{
	return (subscriber / opt->topics + subscriber % opt->topics) % opt->transports;
}

/* Whether anything is within TLS. */
bool options_tls(const struct options *opt);

/* Bytes of the longest `data`. */
static inline uint32_t options_size_most(const struct options *opt)
{
	return opt->size_max ? opt->size_max : opt->size;
}

/* What a message's `data` must have, as speak.h wants it told: 0 where they differ. */
static inline uint32_t options_size_read(const struct options *opt)
{
	return opt->size_max ? 0 : opt->size;
}

/* That of flash among the subscribers'; NULL there is none. */
const struct transport *options_flash(const struct options *opt);

/* How long the set-up may take, in ns. With --hold that is for whoever holds it to say. */
uint64_t options_setup_ns(const struct options *opt);

/* How long a round takes to publish at the given rate, in ns; 0 when it is as fast as possible. */
uint64_t options_publish_ns(const struct options *opt);

/* With --while-running, the shortest time without a delivery that is a pause, in ns: --pause-ms beyond what lies between two
 * messages anyhow, to any topic (`of_topic` false) or to the same one. 0 without --while-running. */
uint64_t options_pause_ns(const struct options *opt, bool of_topic);

#endif
